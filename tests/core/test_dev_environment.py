"""dev.py's own parts, without an install and without a host."""

import multiprocessing
import subprocess
import sys
import time
from pathlib import Path

import pytest

from devtools import commands, environment, foreign, hosts, pip
from devtools.errors import DevError
from devtools.lock import exclusive
from devtools.paths import HOME_VARIABLE, ROOT, checkout_cache
from devtools.stage import Stage


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    monkeypatch.delenv("COMFYUI_PYTHON", raising=False)
    return tmp_path / "home"


@pytest.fixture
def finished(tmp_path):
    stage = Stage(tmp_path / "base", "inputs")
    stage.clear()
    (stage.folder / "inner").mkdir()
    (stage.folder / "inner" / "file.py").write_text("x = 1\n")
    stage.finish()
    return stage


class TestStage:
    def test_finished_is_usable(self, finished):
        assert finished.problem() is None

    def test_nothing_there(self, tmp_path):
        assert Stage(tmp_path / "base", "inputs").problem() == "not installed yet"

    def test_interrupted(self, finished):
        finished.stamp.unlink()
        assert finished.problem() == "an earlier install did not finish"

    def test_cleared_is_not_usable_while_it_is_built(self, finished):
        finished.clear()
        assert finished.problem() == "an earlier install did not finish"
        assert not list(finished.folder.iterdir())

    def test_cut_stamp(self, finished):
        finished.stamp.write_text(finished.stamp.read_text()[:20])
        assert finished.problem() == "an earlier install did not finish"

    def test_other_inputs(self, finished):
        assert Stage(finished.folder, "others").problem() == "its requirements have changed"

    @pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("")])
    def test_damaged_file_is_named(self, finished, damage):
        damage(finished.folder / "inner" / "file.py")
        assert finished.problem() == "inner/file.py is missing or damaged"

    def test_what_python_adds_is_no_damage(self, finished):
        (finished.folder / "inner" / "__pycache__").mkdir()
        (finished.folder / "inner" / "more.py").touch()
        assert finished.problem() is None


def _hold(path, seconds, held, released):
    with exclusive(path):
        held.set()
        time.sleep(seconds)
        released.set()


def _holder(path, seconds):
    """A process that holds the lock, and an event that it sets before it lets go."""
    spawn = multiprocessing.get_context("spawn")
    held, released = spawn.Event(), spawn.Event()
    holder = spawn.Process(target=_hold, args=(path, seconds, held, released))
    holder.start()
    assert held.wait(120)
    return holder, released


class TestLock:
    def test_second_holder_waits(self, tmp_path):
        holder, released = _holder(tmp_path / "lock", 0.5)
        with exclusive(tmp_path / "lock"):
            assert released.is_set()
        holder.join()

    def test_ends_with_its_holder(self, tmp_path):
        holder, _ = _holder(tmp_path / "lock", 120)
        holder.kill()
        with exclusive(tmp_path / "lock"):
            pass


class TestPip:
    log = Path("home", "install.log")

    def test_no_index(self):
        lines = ["WARNING: Retrying (Retry(total=1)) ...", "ERROR: No matching distribution for x"]
        said = pip.explain(lines, self.log)
        assert "package index" in said
        assert "No matching distribution for x" in said

    def test_full_disk(self):
        said = pip.explain(["ERROR: [Errno 28] No space left on device"], self.log)
        assert said.startswith("The disk with home is full")
        assert HOME_VARIABLE in said

    def test_anything_else_shows_the_last_error(self):
        said = pip.explain(["ERROR: first", "noise", "ERROR: second", "noise"], self.log)
        assert said.startswith("pip failed: second")

    def test_space_is_asked_for_before(self, tmp_path):
        with pytest.raises(DevError, match=f"needs 1e.09 GB.*{HOME_VARIABLE}"):
            pip.require_space(tmp_path / "not" / "made", 1e9)

    def test_settings_that_would_redirect_it_are_dropped(self, monkeypatch):
        monkeypatch.setenv("PIP_TARGET", "elsewhere")
        monkeypatch.setenv("PIP_INDEX_URL", "kept")
        assert "PIP_TARGET" not in pip.environment()
        assert pip.environment()["PIP_INDEX_URL"] == "kept"


class TestEnvironment:
    def test_unknown_version_lists_the_known(self):
        with pytest.raises(DevError, match=r"0\.1 is not known.*0\.18\.2, .*0\.30\.0"):
            hosts.find("0.1")

    def test_default_is_known(self):
        assert hosts.find(hosts.DEFAULT).version == hosts.DEFAULT

    def test_everything_is_pinned(self):
        assert [pin for pin in environment.pins() if "==" not in pin] == []

    def test_a_home_that_cannot_be_made(self, tmp_path, monkeypatch):
        (tmp_path / "file").touch()
        monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "file"))
        with pytest.raises(DevError, match="cannot be set up"):
            environment.prepare()

    def test_nothing_is_cached_in_the_checkout(self, home):
        assert home in checkout_cache().parents
        made = environment.Environment(Path("python"), Path("comfy"), "1", Path("tools"))
        variables = made.variables()
        assert str(home) in variables["PYTHONPYCACHEPREFIX"]
        assert variables["WAN_STEP_CACHE_HOST"] == "comfy"
        assert variables["PYTHONPATH"] == "tools"


@pytest.fixture
def comfyui(tmp_path):
    folder = tmp_path / "ComfyUI"
    folder.mkdir()
    (folder / "main.py").touch()
    (folder / "comfyui_version.py").write_text('__version__ = "0.27.0"\n')
    return folder


class TestForeign:
    def test_version(self, comfyui):
        assert foreign.version_of(comfyui) == "0.27.0"

    def test_not_a_comfyui(self, home, tmp_path, monkeypatch):
        monkeypatch.setenv("COMFYUI_PATH", str(tmp_path))
        with pytest.raises(DevError, match="is not a ComfyUI folder"):
            environment.prepare()

    def test_python_that_is_named_but_wrong(self, home, comfyui, monkeypatch):
        monkeypatch.setenv("COMFYUI_PYTHON", "/no/such/python")
        with pytest.raises(DevError, match=r"no/such/python.*COMFYUI_PYTHON"):
            foreign.find_python(comfyui)

    @pytest.mark.skipif(sys.platform == "win32", reason="needs links")
    def test_its_own_environment_comes_first(self, home, comfyui, monkeypatch):
        own = comfyui / "venv" / "bin" / "python"
        own.parent.mkdir(parents=True)
        own.symlink_to(sys.executable)
        facts = {"torch": True, "aiohttp": True, "pip": True, "version": [3, 11], "full": ""}
        monkeypatch.setattr(foreign, "_facts", lambda python: facts)
        assert foreign.find_python(comfyui) == (own, facts)

    def test_old_version_is_mentioned(self, capsys):
        foreign.warn_if_old("0.3.64")
        foreign.warn_if_old("0.18.2")
        assert capsys.readouterr().err.count("older than 0.18.2") == 1


class TestCommandLine:
    def read(self, monkeypatch, *arguments):
        monkeypatch.setattr(sys, "argv", ["dev.py", *arguments])
        return commands.read_arguments()

    def test_what_test_does_not_know_is_for_pytest(self, monkeypatch):
        arguments = ("test", "--comfyui", "0.18.2", "-k", "lock", "tests/core", "--maxfail=1")
        options = self.read(monkeypatch, *arguments)
        assert options.comfyui == "0.18.2"
        assert options.rest == ["-k", "lock", "tests/core", "--maxfail=1"]

    def test_what_bench_does_not_know_is_for_the_benchmark(self, monkeypatch):
        arguments = ("bench", "quality", "--scenario", "one", "two", "--out", "there", "--quick")
        options = self.read(monkeypatch, *arguments)
        assert (options.what, options.out) == ("quality", Path("there"))
        assert options.rest == ["--scenario", "one", "two", "--quick"]

    @pytest.mark.parametrize("flag", ["--help", "-h"])
    def test_help_is_the_benchmarks_where_one_is_named(self, monkeypatch, capsys, flag):
        assert self.read(monkeypatch, "bench", "quality", flag).rest == [flag]
        with pytest.raises(SystemExit) as ended:
            self.read(monkeypatch, "bench", flag)
        told = capsys.readouterr().out
        assert ended.value.code == 0
        assert all(f"{name}:" in told for name in commands.BENCHMARKS)

    def test_benchmarks_are_modules_of_this_checkout(self):
        for module in commands.BENCHMARKS.values():
            assert (ROOT / module.replace(".", "/")).with_suffix(".py").is_file()

    def test_other_commands_take_nothing_more(self, monkeypatch, capsys):
        with pytest.raises(SystemExit):
            self.read(monkeypatch, "env", "--jsn")
        assert "--jsn" in capsys.readouterr().err

    def test_it_starts_with_the_standard_library_alone(self):
        done = subprocess.run(
            [sys.executable, "-S", "dev.py", "--help"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")

    def test_an_error_is_one_line_and_a_status(self, home):
        done = subprocess.run(
            [sys.executable, "dev.py", "env", "--comfyui", "9.9"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("dev.py: ComfyUI 9.9 is not known")
        assert len(done.stderr.splitlines()) == 1

    def test_old_pythons_can_read_the_entry(self):
        assert "f'" not in (ROOT / "dev.py").read_text()
        assert 'f"' not in (ROOT / "dev.py").read_text()

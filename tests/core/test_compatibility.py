"""docs/compatibility.md says what tests told, and only of tests that passed."""

import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from devtools import compatibility, junit

TESTS = '''
import json
import pytest

@pytest.fixture
def tell(record_property):
    return lambda table, row, **cells: record_property(
        "compatibility", json.dumps([table, row, cells])
    )

@pytest.mark.parametrize("level", ["output", "hidden"])
def test_vace(tell, level):
    tell("Wan classes", "VACE", **{level: "exact"})

def test_s2v(tell):
    tell("Wan classes", "S2V", output="exact")
    assert WORKS

def test_newer(tell):
    tell("Samplers", "heun", evaluations="2")
    if not WORKS:
        pytest.skip("this host has no heun")
'''


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Real results of two hosts: what works on the newer one fails on the older one."""
    folder, found = tmp_path_factory.mktemp("matrix"), {}
    for version, works in (("1.0", False), ("2.0", True)):
        test, found[version] = folder / f"test_{int(works)}.py", folder / f"{version}.xml"
        test.write_text(TESTS.replace("WORKS", str(works)))
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)]
        command.append(f"--junitxml={found[version]}")
        subprocess.run(command, cwd=folder, capture_output=True, check=False)
    return found


def test_rows_are_merged_and_say_where_they_hold(results):
    page = compatibility.page(results)
    assert "| wan classes | output | hidden | ComfyUI |" in page
    assert "| VACE | exact | exact | all |" in page
    assert "| S2V | exact | - | 2.0; fails on 1.0 |" in page
    assert "| heun | 2 | 2.0 |" in page
    assert "versions 1.0, 2.0" in page


def test_what_failed_is_named_even_if_it_told_nothing(results):
    assert "Tests that failed:\n\n- 1.0: `test_0.py::test_s2v`\n" in compatibility.page(results)
    assert "No test failed." in compatibility.page({"2.0": results["2.0"]})


def test_what_only_failed_says_so(results):
    page = compatibility.page({"1.0": results["1.0"]})
    assert "| S2V | fails | - | none; fails on 1.0 |" in page
    assert "heun" not in page


def test_what_ran_again_takes_its_place(results, tmp_path):
    for version, path in results.items():
        (tmp_path / f"{version}.xml").write_text(path.read_text().replace("test_1", "test_0"))
    one, other = tmp_path / "1.0.xml", tmp_path / "2.0.xml"
    assert list(junit.failed(one)) == ["test_0.py::test_s2v"]
    junit.replace(one, other)
    assert list(junit.failed(one)) == []
    assert "| S2V | exact | - | all |" in compatibility.page({"1.0": one})


def test_names_are_those_that_pytest_takes():
    case = ET.Element("testcase", classname="tests.core.test_strip.TestAxis", name="test_x[1.5]")
    assert junit.name_of(case) == "tests/core/test_strip.py::TestAxis::test_x[1.5]"


def test_what_few_rows_tell_has_no_column_of_its_own():
    rows = {f"row {i}": compatibility.Row({"cached": "yes"}, {"1.0": True}) for i in range(20)}
    rows["row 3"].cells["memory_peak"] = "two windows"
    made = compatibility._table("Samplers", rows, ["1.0"])
    assert "| samplers | cached | more | ComfyUI |" in made
    assert "| row 2 | yes | - | all |" in made
    assert "| row 3 | yes | memory_peak: two windows | all |" in made


def test_tables_come_in_their_order_and_empty_ones_not_at_all(results):
    page = compatibility.page(results)
    assert page.index("## Wan classes") < page.index("## Samplers")
    assert "## Neighbours" not in page
    assert page.isascii()

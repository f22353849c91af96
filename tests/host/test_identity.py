"""Which Wan a model is: by its shape, its file, its place, the user's word, and its run."""

import logging
from importlib import import_module

import pytest
from safetensors.torch import save_file

pytestmark = pytest.mark.every_host


@pytest.fixture(scope="session")
def watching(host):
    return import_module("watching")


@pytest.fixture
def as_14b(part, monkeypatch):
    """Tiny models of one block pass for the 14B of the same kind."""
    monkeypatch.setitem(part("nodes.host.identity").SIZES, (128, 1), "14B")


@pytest.fixture
def apply(part, watching):
    node, options = part("nodes.teacache").ApplyTeaCache, part("cache_core").Options

    def execute(model, **inputs):
        inputs.setdefault("options", options(on_few_steps="allow"))
        return watching.execute(node, model=model, **inputs)

    return execute


@pytest.fixture(scope="module")
def weights(wan):
    return wan.random_weights(num_layers=1)


def loaded(path, weights):
    """The host's own loader on a file of this name."""
    import comfy.sd

    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, path)
    return comfy.sd.load_diffusion_model(str(path))


def loader(name, **more):
    return {"class_type": "UNETLoader", "inputs": {"unet_name": name, **more}}


def behind(source, output=0, slot="model", **more):
    return {"class_type": "Any", "inputs": {slot: [source, output], **more}}


FILES = {
    "wan2.1_t2v_14B_fp16": "Wan 2.1 T2V 14B",
    "wan2.2_t2v_high_noise_14B_fp8_scaled": "Wan 2.2 T2V A14B high noise",
    "wan2.2_t2v_low_noise_14B_fp8_scaled": "Wan 2.2 T2V A14B low noise",
    "Wan2_2-T2V-A14B_HIGH_fp8_e4m3fn_scaled_KJ": "Wan 2.2 T2V A14B high noise",
    "Wan2.2-T2V-A14B-LowNoise-Q4_K_M": "Wan 2.2 T2V A14B low noise",
    "Wan2_1-T2V-14B_fp8_e5m2": "Wan 2.1 T2V 14B",
}


@pytest.mark.parametrize(("name", "label"), FILES.items(), ids=list(FILES))
@pytest.mark.parametrize("told_by", ["prompt", "patcher"])
def test_the_file_name_tells_what_shapes_cannot(
    wan, apply, as_14b, weights, traces, tmp_path, name, label, told_by
):
    model = loaded(tmp_path / "deep.2.2_low" / f"{name}.safetensors", weights)
    if told_by == "patcher" and getattr(model, "cached_patcher_init", None) is None:
        pytest.skip("this ComfyUI does not remember what it loaded")
    prompt = {"1": loader(f"wan/{name}.safetensors"), "7": behind("1")}
    wan.sample(apply(model, prompt=prompt if told_by == "prompt" else {})[0], 12)
    assert traces[0].model.startswith(label)
    assert "by its file name" in traces[0].model
    assert name in traces[0].model
    assert "assumed" not in traces[0].model


def test_only_the_name_of_the_file_is_told_not_its_folder(
    wan, apply, as_14b, weights, traces, tmp_path
):
    """Traces and logs are shared; where a user keeps models is nobody's business."""
    model = loaded(tmp_path / "private" / "wan2.1_t2v_14B.safetensors", weights)
    wan.sample(apply(model)[0], 12)
    assert "private" not in str(traces[0].as_json())


def test_a_guess_is_told_in_the_log_and_in_the_trace(wan, part, apply, as_14b, traces, caplog):
    with caplog.at_level(logging.INFO):
        wan.sample(apply(wan.random_wan(num_layers=1))[0], 12)
    told = traces[0].model
    assert told.startswith("Wan 2.1 T2V 14B, guessed from sigmas 1.000 to 0.000")
    assert "may be Wan 2.2 T2V A14B high noise or Wan 2.2 T2V A14B low noise" in told
    assert told.endswith(part("cache_core.identity").REMEDY)
    assert traces[0].as_json()["model"] == told
    assert told in caplog.text


def test_what_the_run_cannot_tell_is_assumed_and_the_remedy_named(
    wan, part, apply, as_14b, traces, monkeypatch
):
    """Frames whose size nobody knows leave 480p and 720p open."""
    identity = part("cache_core.identity").Identity
    monkeypatch.setattr(identity, "running", lambda self, facts: self)
    wan.sample(apply(i2v_480p_or_720p(wan))[0], 12)
    assert "assumed; may be Wan 2.1 I2V 720p 14B: its file's name can tell" in traces[0].model


def test_the_run_tells_an_expert_from_a_whole_model(wan, apply, as_14b, traces):
    cached = apply(wan.random_wan(num_layers=1))[0]
    half = wan.sample(cached, 20, start_step=0, last_step=8)
    wan.sample(cached, 20, latent=half, start_step=8, last_step=20, disable_noise=True)
    high, low = (trace.model for trace in traces)
    assert high.startswith("Wan 2.2 T2V A14B high noise")
    assert low.startswith("Wan 2.2 T2V A14B low noise")
    assert "guessed from sigmas 1.000 to" in high
    assert "guessed from sigmas" in low


def test_the_frames_tell_480p_from_720p(wan, apply, as_14b, traces):
    model = i2v_480p_or_720p(wan)
    for size in ((1, 60, 104), (1, 90, 160)):
        wan.sample(apply(model)[0], 1, cfg=1.0, size=size)
    small, large = (trace.model for trace in traces)
    assert "480p" in small
    assert "guessed from frames of 832x480" in small
    assert "720p" in large
    assert "guessed from frames of 1280x720" in large


def i2v_480p_or_720p(wan):
    return wan.random_wan(num_layers=1, in_dim=36, model_type="i2v")


OVERRIDES = {
    "wan2.1_t2v_1.3B": "Wan 2.1 T2V 1.3B",
    "wan2.1_i2v_720p_14B": "Wan 2.1 I2V 720P 14B",
    "wan2.2_ti2v_5B": "Wan 2.2 TI2V 5B",
}


@pytest.mark.parametrize(("variant", "label"), OVERRIDES.items(), ids=list(OVERRIDES))
def test_model_variant_has_the_last_word(wan, apply, as_14b, traces, variant, label):
    prompt = {"1": loader("wan2.2_t2v_high_noise_14B.safetensors"), "7": behind("1")}
    model = wan.random_wan(num_layers=1)
    wan.sample(apply(model, prompt=prompt, model_variant=variant)[0], 12)
    assert traces[0].model.lower().startswith(label.lower())
    assert "as model_variant says" in traces[0].model
    assert "assumed" not in traces[0].model


@pytest.mark.parametrize("sigmas", ["whole schedule", "own half"])
def test_model_variant_of_a_pair_keeps_the_place_on_the_node(wan, apply, traces, sigmas):
    """The second output is the low-noise expert, whatever part of a schedule it is used for."""
    model, other = wan.random_wan(num_layers=1), wan.random_wan(seed=7, num_layers=1)
    experts = apply(model, low_noise_model=other, model_variant="wan2.2_t2v_A14B")
    parts = {"whole schedule": [(0, 20), (0, 20)], "own half": [(0, 9), (9, 20)]}[sigmas]
    for expert, (start, last) in zip(experts, parts, strict=True):
        wan.sample(expert, 20, start_step=start, last_step=last)
    high, low = (trace.model for trace in traces)
    assert high.startswith("Wan 2.2 T2V A14B high noise")
    assert low.startswith("Wan 2.2 T2V A14B low noise")


def test_the_place_on_the_node_tells_high_from_low(wan, apply, as_14b, traces):
    model, other = wan.random_wan(num_layers=1), wan.random_wan(seed=7, num_layers=1)
    prompt = {"1": loader("a.safetensors"), "2": loader("b.safetensors"), "7": both("1", "2")}
    for expert in apply(model, low_noise_model=other, prompt=prompt):
        wan.sample(expert, 12)
    assert [trace.model.split(",")[0] for trace in traces] == [
        "Wan 2.2 T2V A14B high noise",
        "Wan 2.2 T2V A14B low noise",
    ]
    assert "by its place on the node" in traces[0].model


def test_a_chain_of_apply_nodes_tells_the_later_ones_model(wan, part, apply, as_14b, traces):
    """The first node is told by the user, the second sees through it to the loader."""
    prompt = {
        "1": loader("wan2.1_t2v_14B.safetensors"),
        "6": behind("1"),
        "7": behind("6"),
    }
    first = apply(wan.random_wan(num_layers=1), prompt=prompt, node_id="6")[0]
    wan.sample(apply(first, prompt=prompt)[0], 12)
    assert "by its file name wan2.1_t2v_14B.safetensors" in traces[0].model


def both(high, low, output=0):
    return {
        "class_type": "Apply",
        "inputs": {"model": [high, output], "low_noise_model": [low, output]},
    }


GGUF = {"class_type": "UnetLoaderGGUF", "inputs": {"unet_name": "wan-low.GGUF"}}
OTHER = {"class_type": "AnyLoader", "inputs": {"precision": "bf16", "model": "x\\wan-high.sft"}}
LORA = {"lora_name": "lightx2v_high_noise.safetensors", "strength_model": 1.0}
NAMES = {
    "directly": ({"1": loader("a.safetensors"), "7": behind("1")}, "model", "a.safetensors"),
    "a checkpoint": (
        {
            "1": {"class_type": "C", "inputs": {"ckpt_name": "c.ckpt"}},
            "7": behind("1"),
        },
        "model",
        "c.ckpt",
    ),
    "behind LoRAs": (
        {
            "1": loader("a.safetensors"),
            "2": behind("1", **LORA),
            "3": behind("2", clip=["9", 1], **LORA),
            "4": behind("3", shift=5.0),
            "7": behind("4"),
        },
        "model",
        "a.safetensors",
    ),
    "another loader": ({"1": OTHER, "7": behind("1")}, "model", "x\\wan-high.sft"),
    "GGUF": ({"1": GGUF, "7": behind("1")}, "model", "wan-low.GGUF"),
    "the second expert": (
        {"1": loader("h.safetensors"), "2": GGUF, "7": both("1", "2")},
        "low_noise_model",
        "wan-low.GGUF",
    ),
    "the first output of a node for two": (
        {"1": loader("h.safetensors"), "2": GGUF, "3": both("1", "2"), "7": behind("3", 0)},
        "model",
        "h.safetensors",
    ),
    "the second output of a node for two": (
        {"1": loader("h.safetensors"), "2": GGUF, "3": both("1", "2"), "7": behind("3", 1)},
        "model",
        "wan-low.GGUF",
    ),
    "two nodes for two": (
        {
            "1": loader("h.safetensors"),
            "2": GGUF,
            "3": both("1", "2"),
            "7": {
                "class_type": "Apply",
                "inputs": {"model": ["3", 0], "low_noise_model": ["3", 1]},
            },
        },
        "low_noise_model",
        "wan-low.GGUF",
    ),
    "a merge": (
        {
            "1": loader("a.safetensors"),
            "2": loader("b.safetensors"),
            "3": {"class_type": "Merge", "inputs": {"model1": ["1", 0], "model2": ["2", 0]}},
            "7": behind("3"),
        },
        "model",
        "a.safetensors",
    ),
    "a loader that is told by another node": (
        {"1": loader(["2", 0]), "7": behind("1")},
        "model",
        None,
    ),
    "a loader with a text encoder first": (
        {
            "1": {
                "class_type": "All",
                "inputs": {"device": "cpu", "unet_name": "a.safetensors", "vae_name": "v.sft"},
            },
            "7": behind("1"),
        },
        "model",
        "a.safetensors",
    ),
    "no file": (
        {"1": {"class_type": "Any", "inputs": {"seed": 1}}, "7": behind("1")},
        "model",
        None,
    ),
    "nothing connected": ({"7": {"class_type": "Apply", "inputs": {}}}, "model", None),
    "a node without inputs": ({"1": {"class_type": "Any"}, "7": behind("1")}, "model", None),
    "a list among the inputs": (
        {"1": {"class_type": "Any", "inputs": {"models": [], "x": 1}}, "7": behind("1")},
        "model",
        None,
    ),
    "not in the prompt": ({}, "model", None),
    "a source that is missing": ({"7": behind("1")}, "model", None),
    "itself": ({"7": behind("7")}, "model", None),
    "a circle": ({"7": behind("2"), "2": behind("3"), "3": behind("2")}, "model", None),
}  # fmt: skip


@pytest.mark.parametrize(("prompt", "slot", "expected"), NAMES.values(), ids=list(NAMES))
def test_the_file_is_found_through_the_prompt(part, prompt, slot, expected):
    from types import SimpleNamespace

    find = part("nodes.host.loader").file_name
    assert find(SimpleNamespace(), prompt, "7", slot) == expected


def test_without_a_prompt_there_is_what_the_patcher_remembers(part):
    from types import SimpleNamespace

    find = part("nodes.host.loader").file_name
    patcher = SimpleNamespace(cached_patcher_init=(None, ("/m/wan2.2_low.safetensors", {})))
    assert find(patcher, None, "7", "model").endswith("wan2.2_low.safetensors")
    assert find(patcher, {"7": behind("1")}, "7", "model").endswith("wan2.2_low.safetensors")
    assert find(SimpleNamespace(cached_patcher_init=(None, ())), {}, "7", "model") is None
    assert find(SimpleNamespace(cached_patcher_init=None), {}, "7", "model") is None


@pytest.mark.parametrize("module", ["fbcache", "teacache", "magcache"])
def test_every_apply_node_asks(wan, part, watching, traces, as_14b, module):
    names = {"fbcache": "ApplyFBCache", "teacache": "ApplyTeaCache", "magcache": "ApplyMagCache"}
    node = getattr(part(f"nodes.{module}"), names[module])
    prompt = {"1": loader("wan2.2_t2v_low_noise_14B.safetensors"), "7": behind("1")}
    cached = watching.execute(node, prompt=prompt, model=wan.random_wan(num_layers=1))[0]
    wan.sample(cached, 12)
    assert traces[0].model.startswith("Wan 2.2 T2V A14B low noise")

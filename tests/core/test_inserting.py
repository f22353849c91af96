"""Apply nodes in a prompt: behind every loader that a sampler has, and around nothing else."""

from inserting import apply_nodes, behind_each, behind_pairs, ended, loaders, pairs

MODEL = {"required": {"model": ["MODEL"]}}
ANY = {"required": {"on_true": ["COMFY_MATCHTYPE_V3"]}}
APPLY = {
    "input": {"required": {**MODEL["required"], "preset": [["a", "b"], {"default": "b"}]}},
    "output": ["MODEL", "MODEL"],
}
NODES = {
    "UNETLoader": {"input": {"required": {"unet_name": [["x"]]}}, "output": ["MODEL"]},
    "Patch": {"input": MODEL, "output": ["MODEL"]},
    "Switch": {"input": ANY, "output": ["COMFY_MATCHTYPE_V3"]},
    "KSampler": {"input": MODEL, "output": ["LATENT"]},
    "Decode": {"input": {"required": {"samples": ["LATENT"]}}, "output": ["IMAGE"]},
    "Segment": {"input": MODEL, "output": ["MASK"]},
    "Save": {"input": {"required": {"images": ["IMAGE"]}}, "output": [], "output_node": True},
    "WanStepCache_A": APPLY,
    "WanStepCache_MagCacheCalibrate": {"input": MODEL, "output": ["MODEL"]},
    "WanStepCache_Options": {"input": {}, "output": ["WANSTEPCACHE_OPTIONS"]},
}


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


def loader(file):
    return node("UNETLoader", unet_name=f"{file}.safetensors")


SINGLE = {
    "1": loader("wan"),
    "2": node("Patch", model=["1", 0]),
    "3": node("Switch", on_true=["2", 0]),
    "4": node("KSampler", model=["3", 0]),
    "5": node("KSampler", model=["1", 0]),
    "6": loader("sam"),
    "7": node("Segment", model=["6", 0]),
}
PAIR = {
    "a:1": loader("wan_low_noise"),
    "a:2": loader("wan_high_noise"),
    "a:3": node("KSampler", model=["a:1", 0]),
    "a:4": node("KSampler", model=["a:2", 0]),
    "b:1": loader("wan_high_noise"),
    "b:2": node("KSampler", model=["b:1", 0]),
}


def test_every_method_is_found_and_nothing_else():
    assert apply_nodes(NODES) == ["WanStepCache_A"]


def test_loaders_are_those_whose_model_is_sampled_with():
    assert loaders(SINGLE, NODES) == ["1"]
    assert loaders(PAIR, NODES) == ["a:1", "a:2", "b:1"]


def test_all_that_used_the_loader_uses_the_apply_node():
    found = behind_each(SINGLE, NODES, "WanStepCache_A", preset="a")
    (key,) = set(found) - set(SINGLE)
    assert found[key] == node("WanStepCache_A", preset="a", model=["1", 0])
    assert found["2"]["inputs"]["model"] == found["5"]["inputs"]["model"] == [key, 0]
    assert {name: found[name] for name in "13467"} == {name: SINGLE[name] for name in "13467"}


def test_each_of_several_loaders_has_its_own():
    found = behind_each(PAIR, NODES, "WanStepCache_A")
    added = {found[key]["inputs"]["model"][0]: key for key in set(found) - set(PAIR)}
    assert set(added) == {"a:1", "a:2", "b:1"}
    assert found["a:3"]["inputs"]["model"] == [added["a:1"], 0]
    assert found[added["a:1"]]["inputs"]["preset"] == "b"


def test_one_node_takes_both_experts_of_a_pair():
    found = behind_pairs(PAIR, NODES, "WanStepCache_A")
    assert pairs(PAIR, NODES) == [("a:2", "a:1")]
    (key,) = set(found) - set(PAIR)
    links = {"model": ["a:2", 0], "low_noise_model": ["a:1", 0]}
    assert found[key]["inputs"] == {"preset": "b", **links}
    assert found["a:4"]["inputs"]["model"] == [key, 0]
    assert found["a:3"]["inputs"]["model"] == [key, 1]
    assert found["b:2"] == PAIR["b:2"]
    assert behind_pairs(SINGLE, NODES, "WanStepCache_A") is None


def test_a_prompt_without_an_end_shows_what_nobody_uses():
    open_end = {**SINGLE, "8": node("Decode", samples=["4", 0])}
    found = ended(open_end, NODES)
    (key,) = set(found) - set(open_end)
    assert found[key] == node("PreviewImage", images=["8", 0])
    closed = {**open_end, "9": node("Save", images=["8", 0])}
    assert ended(closed, NODES) == closed

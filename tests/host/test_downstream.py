"""The schedule that options are for, read from the graph alone."""

import pytest


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


def graph(**more):
    """Options into Apply FBCache into a KSampler of 20 steps."""
    return {
        "model": node("UNETLoader", unet_name="wan.safetensors"),
        "options": node("WanStepCache_Options", step_mask="1-6"),
        "cache": node("WanStepCache_FBCache", model=["model", 0], options=["options", 0]),
        "sampler": node("KSampler", model=["cache", 0], steps=20, denoise=1.0),
        **more,
    }


OTHER = node("WanStepCache_Options", step_mask="")
APPLIED = {"model": ["cache", 0]}
GRAPHS = {
    "one sampler": (graph(), 20),
    "no sampler": (graph(sampler=node("SaveImage")), None),
    "another model": (graph(plain=node("KSampler", model=["model", 0], steps=8)), 20),
    "through a LoRA": (
        graph(
            lora=node("LoraLoaderModelOnly", model=["cache", 0], lora_name="x.safetensors"),
            sampler=node("KSampler", model=["lora", 0], steps=30),
        ),
        30,
    ),
    "linked steps": (graph(sampler=node("KSampler", **APPLIED, steps=["int", 0])), None),
    "no number": (graph(sampler=node("KSampler", **APPLIED, steps="20")), None),
    "part of the noise": (graph(sampler=node("KSampler", **APPLIED, steps=10, denoise=0.5)), 20),
    "cut down": (graph(sampler=node("KSampler", **APPLIED, steps=10, denoise=0.3)), 33),
    "linked denoise": (
        graph(sampler=node("KSampler", **APPLIED, steps=10, denoise=["float", 0])),
        None,
    ),
    "no noise": (graph(sampler=node("KSampler", **APPLIED, steps=10, denoise=0.0)), None),
    "two halves": (
        graph(
            sampler=node("KSamplerAdvanced", **APPLIED, steps=20, end_at_step=9),
            low=node("KSamplerAdvanced", model=["cache", 1], latent_image=["sampler", 0], steps=20),
        ),
        20,
    ),
    "halves that disagree": (
        graph(
            sampler=node("KSamplerAdvanced", **APPLIED, steps=20),
            low=node("KSamplerAdvanced", model=["cache", 1], steps=8),
        ),
        None,
    ),
    "a second pass of another model": (
        graph(again=node("KSampler", model=["model", 0], latent_image=["sampler", 0], steps=4)),
        20,
    ),
    "custom sampling": (
        graph(
            sampler=node("SamplerCustomAdvanced", guider=["guider", 0], sigmas=["sigmas", 0]),
            guider=node("CFGGuider", model=["cache", 0]),
            sigmas=node("BasicScheduler", model=["cache", 0], steps=25, denoise=1.0),
        ),
        25,
    ),
    "custom sampling, and a second pass of another model": (
        graph(
            sampler=node("SamplerCustomAdvanced", guider=["guider", 0], sigmas=["sigmas", 0]),
            guider=node("CFGGuider", model=["cache", 0]),
            sigmas=node("BasicScheduler", model=["cache", 0], steps=25, denoise=1.0),
            again=node("KSampler", model=["model", 0], latent_image=["sampler", 0], steps=4),
        ),
        25,
    ),
    "a scheduler without the cache": (
        graph(
            sampler=node("SamplerCustomAdvanced", guider=["guider", 0], sigmas=["sigmas", 0]),
            guider=node("CFGGuider", model=["cache", 0]),
            sigmas=node("BasicScheduler", model=["model", 0], steps=25, denoise=1.0),
        ),
        None,
    ),
    "a chain with the same options": (
        graph(
            tea=node("WanStepCache_TeaCache", **APPLIED, options=["options", 0]),
            sampler=node("KSampler", model=["tea", 0], steps=20),
        ),
        20,
    ),
    "a chain that ends with none": (
        graph(
            tea=node("WanStepCache_TeaCache", **APPLIED),
            sampler=node("KSampler", model=["tea", 0], steps=20),
        ),
        20,
    ),
    "a chain that ends with others": (
        graph(
            other=OTHER,
            tea=node("WanStepCache_TeaCache", **APPLIED, options=["other", 0]),
            sampler=node("KSampler", model=["tea", 0], steps=20),
        ),
        None,
    ),
    "two models": (
        graph(
            second=node("WanStepCache_FBCache", model=["model", 0], options=["options", 0]),
            also=node("KSampler", model=["second", 0], steps=20),
        ),
        20,
    ),
    "in a circle": (
        graph(
            cache=node("WanStepCache_FBCache", model=["lora", 0], options=["options", 0]),
            lora=node("LoraLoaderModelOnly", model=["cache", 0]),
        ),
        20,
    ),
    "options alone": ({"options": OTHER}, None),
    "nodes of any shape": (graph(note={"class_type": "Note"}), 20),
}


@pytest.mark.parametrize(("prompt", "steps"), GRAPHS.values(), ids=list(GRAPHS))
def test_the_steps_of_the_samplers_behind_the_options(part, prompt, steps):
    assert part("nodes.host.downstream").schedule_steps(prompt, "options") == steps


def test_without_a_prompt_nothing_is_known(part):
    assert part("nodes.host.queued").steps_ahead() is None


def test_the_handler_is_registered_once_and_leaves_the_request_alone(part, monkeypatch):
    queued, handlers = part("nodes.host.queued"), []

    class Server:
        on_prompt_handlers = handlers
        add_on_prompt_handler = staticmethod(handlers.append)

    monkeypatch.setattr(queued.PromptServer, "instance", Server, raising=False)
    queued.listen()
    queued.listen()
    assert handlers == [queued.remember]
    request = {"prompt": graph(), "client_id": "x"}
    assert queued.remember(request) is request == {"prompt": graph(), "client_id": "x"}
    queued.QUEUED.set(None)


def test_without_a_server_there_is_nothing_to_register(part, monkeypatch):
    queued = part("nodes.host.queued")
    monkeypatch.delattr(queued.PromptServer, "instance", raising=False)
    queued.listen()

"""The time embedding is exact whatever the model's layers do to be fast."""

from importlib import import_module

import pytest
import torch

pytestmark = pytest.mark.every_host
FP8 = torch.float8_e4m3fn


def test_layers_that_round_their_input_to_fp8_multiply_in_fp32_for_the_signal(part):
    torch.manual_seed(0)
    layer = import_module("comfy.ops").fp8_ops.Linear(64, 32, bias=False, device="cpu", dtype=FP8)
    layer.weight.data = (torch.randn(32, 64) / 8).to(FP8)
    values = torch.randn(5, 64)
    expected = values @ layer.weight.float().T
    rounded = layer.forward_comfy_cast_weights(values.clone())
    found = part("nodes.host.time_signal").in_fp32([layer], values)
    assert (rounded - expected).abs().max() > 1e-2
    torch.testing.assert_close(found, expected)


def test_embeddings_are_the_models_own(part, pack):
    """A signal of every kind, in fp32, by the model's layers called as the host calls them."""
    shapes = import_module("bench.random_wan")
    patcher = shapes.build(shapes.TINY)
    model = patcher.model.diffusion_model
    embed = part("nodes.host.time_signal").embedding_of(patcher)
    sigmas = [1.0, 0.7, 0.125]
    table = import_module("comfy.ldm.wan.model").sinusoidal_embedding_1d
    with torch.inference_mode():
        e = model.time_embedding(table(model.freq_dim, 1000 * torch.tensor(sigmas)).float())
        for signal, expected in (("e", e), ("e0", model.time_projection(e))):
            found = embed(sigmas, signal)
            assert found.dtype == torch.float32
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)

"""A kept value comes back as exact as its dtype allows, from buffers that are used again."""

import pytest
import torch
from flow import Flow, Planned, flow_run, random_latent

import cache_core.forms
from cache_core.branches import Chunk
from cache_core.forecast import combine
from cache_core.keeping import Keeping, SideStream, Slot
from cache_core.recall import forecast_rows
from cache_core.schedule import Position
from cache_core.store import History

CPU = torch.device("cpu")
EVERYTHING = slice(None)
DEVICES, DTYPES = ("gpu", "cpu"), ("model", "bf16", "fp16", "fp8")
KEEPINGS = [Keeping(device, dtype) for device in DEVICES for dtype in DTYPES]
ROUNDING = {"model": 0.0, "bf16": 2**-8, "fp16": 2**-11}
"""Half of the distance of neighbouring numbers, relative to them."""
FP8_MAX = 448.0


def naive_fp8(value):
    """Each row over its largest magnitude, times the largest number of fp8, and back."""
    rows = []
    for row in value.reshape(-1, value.shape[-1]).float():
        scale = row.abs().max() / FP8_MAX
        rows.append((row / scale).to(torch.float8_e4m3fn).float() * scale)
    return torch.stack(rows)


def kept(value, keeping):
    slot = Slot(value, keeping)
    slot.write(lambda buffer: buffer.copy_(value))
    return slot


def uneven(shape=(2, 5, 8)):
    """Rows that differ by ten orders of magnitude."""
    rows = random_latent(3, shape, torch.float32)
    exponents = torch.linspace(-5, 4, rows[..., 0].numel()).reshape(*shape[:-1], 1)
    return rows * 10**exponents


@pytest.mark.parametrize("keeping", KEEPINGS, ids=str)
def test_a_value_comes_back_as_its_dtype_allows(keeping):
    value = random_latent(1, (2, 3, 5, 8), torch.float32)
    rows = value.reshape(-1, 8)
    found = kept(value, keeping).rows(EVERYTHING, CPU)
    assert found.dtype == torch.float32
    if keeping.dtype == "fp8":
        torch.testing.assert_close(found, naive_fp8(value), rtol=1e-6, atol=0)
    else:
        assert ((found - rows).abs() <= ROUNDING[keeping.dtype] * rows.abs()).all()


@pytest.mark.parametrize("device", DEVICES)
def test_fp8_is_as_exact_in_small_rows_as_in_large_ones(device):
    value = uneven()
    rows = value.reshape(-1, 8)
    found = kept(value, Keeping(device, "fp8")).rows(EVERYTHING, CPU)
    error = (found - rows).abs().amax(-1) / rows.abs().amax(-1)
    assert (error <= 2**-4).all() and (error > 0).any()


@pytest.mark.parametrize("limit", [1, 8, 24, 1 << 22])
def test_slices_change_nothing(limit, monkeypatch):
    value = uneven()
    monkeypatch.setattr(cache_core.forms, "SLICE", limit)
    found = kept(value, Keeping(dtype="fp8")).rows(EVERYTHING, CPU)
    torch.testing.assert_close(found, naive_fp8(value), rtol=1e-6, atol=0)


@pytest.mark.parametrize("keeping", KEEPINGS, ids=str)
def test_zeros_stay_zeros(keeping):
    assert kept(torch.zeros(3, 4), keeping).rows(EVERYTHING, CPU).eq(0).all()


@pytest.mark.parametrize("keeping", KEEPINGS, ids=str)
@pytest.mark.parametrize("computed", [torch.float32, torch.bfloat16])
def test_no_number_is_too_large(keeping, computed):
    value = torch.tensor([[1e5, -3e5, 7.0]]).to(computed)
    found = kept(value, keeping).rows(EVERYTHING, CPU)
    assert found.isfinite().all()
    nearest = value.float().clamp(-65504, 65504) if keeping.dtype == "fp16" else value.float()
    torch.testing.assert_close(found[0, :2], nearest[0, :2], rtol=0.07, atol=0)


@pytest.mark.parametrize("computed", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("device", DEVICES)
def test_what_is_kept_as_computed_is_kept_bit_by_bit(device, computed):
    value = random_latent(2, (3, 7), computed)
    slot = kept(value, Keeping(device))
    assert torch.equal(slot.parts[0], value) and slot.parts[0].dtype == computed
    assert slot.parts[0].data_ptr() != value.data_ptr()


BYTES = {"model": 4 * 40, "bf16": 2 * 40, "fp16": 2 * 40, "fp8": 40 + 4 * 10}


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("keeping", KEEPINGS, ids=str)
def test_a_full_history_writes_into_the_buffers_it_has(depth, keeping):
    history, homes = History(depth, keeping), []
    for evaluation in range(3 * depth + 1):
        value = torch.full((2, 5, 4), float(evaluation))
        history.record(Position(evaluation, evaluation, 0.5), value, ("signature",))
        homes.append(tuple(part.data_ptr() for part in history.slots[-1].parts))
        assert history.nbytes == min(evaluation + 1, depth) * BYTES[keeping.dtype]
    assert len(set(homes)) == depth
    assert homes == [homes[place % depth] for place in range(len(homes))]
    newest = [slot.rows(EVERYTHING, CPU).unique().item() for slot in history.slots]
    torch.testing.assert_close(newest, [float(n) for n in range(3 * depth + 1)][-depth:])


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_copy_to_ram_outlives_its_source(dtype):
    value = random_latent(4, (6, 8), torch.float32)
    slot = kept(value, Keeping("cpu", dtype))
    before = slot.rows(EVERYTHING, CPU).clone()
    value.fill_(9.0)
    assert torch.equal(slot.rows(EVERYTHING, CPU), before)


@pytest.mark.parametrize("keeping", KEEPINGS, ids=str)
def test_what_goes_to_ram_is_packed_first_and_then_copied_part_by_part(keeping, monkeypatch):
    copies, copy = [], SideStream.copy

    def copying(self, sources, targets):
        copies.append((sources, targets))
        return copy(self, sources, targets)

    monkeypatch.setattr(SideStream, "copy", copying)
    slot = kept(random_latent(4, (6, 8), torch.float32), keeping)
    assert len(copies) == (keeping.device == "cpu")
    for sources, targets in copies:
        assert targets is slot.parts
        for source, target in zip(sources, targets, strict=True):
            assert source.dtype == target.dtype and source.data_ptr() != target.data_ptr()


@pytest.mark.parametrize("keeping", KEEPINGS, ids=str)
@pytest.mark.parametrize("into", [torch.float32, torch.bfloat16])
def test_sums_of_kept_values_are_those_of_the_numbers_they_hold(keeping, into):
    values = [random_latent(n, (2, 3, 4), torch.float32) for n in range(3)]
    slots = [kept(value, keeping) for value in values]
    weights = [0.7, -2.5, 3.1]
    held = [slot.rows(EVERYTHING, CPU).reshape(2, 3, 4).double() for slot in slots]
    naive = sum(w * v for w, v in zip(weights, held, strict=True))
    found = combine(slots, weights, into, CPU)
    assert found.dtype == into and found.shape == (2, 3, 4)
    torch.testing.assert_close(found.double(), naive, rtol=2 * torch.finfo(into).eps, atol=1e-5)


@pytest.mark.parametrize("keeping", KEEPINGS, ids=str)
def test_a_reused_value_has_the_dtype_that_was_computed(keeping):
    run = flow_run(Planned("CR"), sigmas=[1.0, 0.5, 0.0], forecast="hold")
    run.store.keeping = keeping
    chunks = [Chunk(key, "group", 0, slice(key, key + 1), ("signature",)) for key in range(2)]
    for chunk in chunks:
        value = random_latent(chunk.key, (1, 4), torch.bfloat16)
        run.store.history(chunk.key).record(Position(0, 0, 0.9), value, chunk.signature)
    found = forecast_rows(run, chunks, Position(1, 1, 0.5), torch.zeros(2, 4), None)
    assert (found.dtype, found.shape) == (torch.bfloat16, (2, 4))


CHOSEN = {
    "plain": (("gpu", "model"), 10, 0, Keeping("gpu", "model")),
    "told": (("cpu", "fp8"), 1, 100, Keeping("cpu", "fp8")),
    "plenty": (("auto", "auto"), 49, 100, Keeping("gpu", "model")),
    "half": (("auto", "auto"), 50, 100, Keeping("gpu", "model")),
    "more than half": (("auto", "auto"), 51, 100, Keeping("cpu", "model")),
    "none": (("auto", "fp16"), 1, 0, Keeping("cpu", "fp16")),
    "told, not asked": (("gpu", "auto"), 99, 100, Keeping("gpu", "model")),
}


@pytest.mark.parametrize(("words", "need", "free", "means"), CHOSEN.values(), ids=list(CHOSEN))
def test_auto_goes_by_what_is_free(words, need, free, means):
    assert Keeping.chosen(*words, need, free) == means


def test_auto_is_the_device_while_nothing_is_known():
    assert Keeping.chosen("auto", "auto") == Keeping("gpu", "model")


@pytest.mark.parametrize("forecast", ["hold", "taylor", "auto"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_sampling_is_the_same_wherever_values_are_kept(dtype, forecast):
    sigmas = torch.linspace(1, 0, 13).tolist()

    def path(device):
        options = {"cache_device": device, "cache_dtype": dtype, "forecast": forecast}
        run = flow_run(Planned("CCRRCRRRCRCC"), sigmas=sigmas, **options)
        flow = Flow(run, lambda x, sigma, name: x * (1 + sigma), ("cond", "uncond"), meddles=True)
        return flow.sample(random_latent(dtype=torch.float32))[-1]

    assert torch.equal(path("gpu"), path("cpu"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: streams")
@pytest.mark.parametrize("dtype", DTYPES)
def test_on_a_gpu_copies_run_beside_and_values_are_right(dtype):
    gpu = torch.device("cuda", 0)
    assert SideStream(gpu, True).stream != torch.cuda.current_stream(gpu)
    slot, naive = None, None
    for seed in range(20):
        value = random_latent(seed, (2, 4096, 256), torch.float32).to(gpu)
        slot = slot or Slot(value, Keeping("cpu", dtype))
        naive = kept(value, Keeping("gpu", dtype)).rows(EVERYTHING, gpu)
        slot.write(lambda buffer, value=value: buffer.copy_(value))
        value.fill_(-1.0)
        torch.empty_like(value).fill_(-2.0)
        assert slot.parts[0].is_pinned()
        assert torch.equal(slot.rows(EVERYTHING, gpu), naive)

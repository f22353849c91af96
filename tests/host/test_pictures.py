"""The pictures of Report and Compare, read back pixel by pixel."""

from dataclasses import dataclass
from itertools import combinations, pairwise

import pytest
import torch
from PIL import Image, ImageChops, ImageStat


@pytest.fixture(scope="module")
def drawing(part):
    """A module of nodes/drawing by name."""
    return lambda name: part(f"nodes.drawing.{name}")


@dataclass(frozen=True)
class Told:
    """A sampling in letters, one for each evaluation of both branches; a metric where it has one.

    every: evaluations of a step.
    """

    letters: str
    model: str = "Wan"
    every: int = 1
    metric: float | None = 0.05
    branches: tuple = ("cond", "uncond")


@pytest.fixture(scope="module")
def overview(part):
    """Schedules of samplings as their traces would tell them."""
    core = part("cache_core.decision")
    trace, reasons = part("cache_core.trace"), core.Reason
    why = {"C": reasons.ABOVE_THRESHOLD, "M": reasons.WARM_UP, "X": reasons.CHANGED}

    def run(told):
        settings = {"threshold": 0.08}
        method = trace.MethodInForce("FBCache", "balanced", "x < 0.08", "ours", settings, "7")
        steps = len(told.letters) // told.every
        made = trace.Trace(told.model, "output", [method], steps)
        for index, letter in enumerate(told.letters):
            for branch in told.branches:
                action = core.Action.COMPUTE if letter in why else core.Action.REUSE
                reason = why.get(letter, reasons.BELOW_THRESHOLD)
                place = (index, index // told.every, 1 - index / len(told.letters), branch)
                by, mixed = (None, 0) if letter in why else ("FBCache", "RF".index(letter) + 1)
                made.add(trace.Record(*place, action, reason, by, told.metric, 0.1, mixed))
        return made.as_json()

    overview = part("cache_core.overview").Overview
    return lambda *schedules, **more: overview(
        tuple(tuple(run(told) for told in schedule) for schedule in schedules), **more
    )


def pixels_of(colour):
    return torch.tensor([int(colour[i : i + 2], 16) for i in (1, 3, 5)], dtype=torch.uint8)


def read_back(drawing, picture, count):
    """The rows of cells in a picture, as letters, from above; ``count``: the columns of each.

    Of every cell a stripe below its upper edge is looked at, which no letter reaches.
    """
    image = (drawing("image").as_image(picture)[0] * 255).round().to(torch.uint8)
    fills = {letter: look.fill for letter, look in drawing("palette").LOOKS.items()}
    columns = drawing("axes").Columns.fitting(count)
    at = round(columns.middle(0))
    coloured = [any((image[y, at] == pixels_of(fill)).all() for fill in fills.values())
                for y in range(len(image))]  # fmt: skip
    height = drawing("timeline").ROW
    starts = [y for y in range(len(image) - height) if coloured[y] and not any(coloured[y - 5 : y])
              and sum(coloured[y : y + height]) > height // 3]  # fmt: skip
    return ["".join(letter_at(image, columns, c, y, fills) for c in range(count)) for y in starts]


def letter_at(image, columns, column, top, fills):
    left, right = round(columns.edge(column)), round(columns.edge(column + 1))
    stripe = image[top + 1 : top + 9, left + 1 : max(right - 3, left + 2)]
    areas = {x: int((stripe == pixels_of(fill)).all(-1).sum()) for x, fill in fills.items()}
    return max(areas, key=areas.get) if any(areas.values()) else " "


LETTERS = ["CMMCRRRCRRXRRRC", "CMMCFFFCFFXFFFM", "CR", "C" * 40 + "R" * 40]


@pytest.mark.parametrize("letters", LETTERS)
def test_the_picture_says_of_every_step_and_branch_what_happened(drawing, overview, letters):
    picture = drawing("timeline").timeline(overview([Told(letters)]))
    assert read_back(drawing, picture, len(letters))[:2] == [letters, letters]
    assert picture.width == 1200


def test_both_experts_are_on_one_axis(drawing, overview):
    pair = overview([Told("CMRRRC", "high noise"), Told("CFFFFC", "low noise")], experts=2)
    picture = drawing("timeline").timeline(pair)
    assert read_back(drawing, picture, 12)[:2] == ["CMRRRCCFFFFC"] * 2


def test_schedules_stand_below_each_other(drawing, overview):
    picture = drawing("timeline").timeline(overview([Told("CRRC")], [Told("CMMR")]))
    rows = read_back(drawing, picture, 4)
    assert [row for row in rows if row in ("CRRC", "CMMR")] == ["CRRC", "CRRC", "CMMR", "CMMR"]


def test_the_switch_is_marked_through_cells_and_curve(drawing, overview):
    one = drawing("timeline").timeline(overview([Told("CRRRRRRC")]))
    two = drawing("timeline").timeline(overview([Told("CRRR"), Told("RRRC")], experts=2))
    x = round(drawing("axes").Columns(8).edge(4))
    dark = [sum(sum(p.getpixel((x + d, y))) < 120 for y in range(p.height) for d in (-1, 0))
            for p in (one, two)]  # fmt: skip
    assert dark[1] > dark[0] + 100


def test_more_schedules_than_one_can_look_at_are_left_out_and_said_so(drawing, overview, part):
    timeline = drawing("timeline")
    many = overview(*[[Told("CRRC")] for _ in range(timeline.MOST_DRAWN + 3)])
    few = overview(*[[Told("CRRC")] for _ in range(timeline.MOST_DRAWN)])
    spoken = timeline.timeline(many).height - timeline.timeline(few).height
    assert 0 < spoken < 60


@pytest.mark.parametrize("count", [1, 10, 300, 900, 5000])
def test_any_number_of_steps_fits(drawing, overview, count):
    picture = drawing("timeline").timeline(overview([Told("R" * count, branches=("cond",))]))
    assert 1200 <= picture.width <= drawing("axes").WIDEST + drawing("canvas").MARGIN


EMPTY = {
    "no samplings": [],
    "no evaluations": [[Told("")]],
    "no metric": [[Told("CR", metric=None)]],
}


@pytest.mark.parametrize("schedules", EMPTY.values(), ids=list(EMPTY))
def test_what_is_not_there_is_not_drawn(drawing, overview, schedules):
    told = overview(*schedules, note="The remedy in words, which are longer than a line. " * 6)
    assert drawing("timeline").timeline(told).height > 120


@pytest.fixture(scope="module")
def grey_cells(drawing):
    """Every kind of cell above its letter, in grey."""
    cells = {}
    for letter in drawing("palette").LOOKS:
        canvas = drawing("canvas").Canvas(40, 46)
        drawing("palette").cell(canvas, letter, 0, 0, 40, 46)
        cells[letter] = canvas.finished().convert("L").crop((2, 2, 38, 11))
    return cells


@pytest.mark.parametrize(("one", "other"), list(combinations("CMXRF", 2)))
def test_cells_differ_without_colour_and_without_letters(grey_cells, one, other):
    apart = ImageStat.Stat(ImageChops.difference(grey_cells[one], grey_cells[other])).mean[0]
    assert apart > 10


def test_forced_failsafe_and_forecast_have_patterns(grey_cells):
    uneven = {letter: ImageStat.Stat(cell).stddev[0] for letter, cell in grey_cells.items()}
    assert {letter for letter, much in uneven.items() if much > 8} == set("MXF")


@pytest.mark.parametrize("count", [1, 7, 30, 81, 200, 1000])
def test_numbered_columns_are_apart_and_right(drawing, count):
    axes = drawing("axes")
    columns = axes.Columns.fitting(count)
    found = columns.numbered(range(count))
    assert found[0] == (0, 1) and all(number == column + 1 for column, number in found)
    places = [columns.middle(column) for column, _ in found[1:]]
    gaps = [after - before for before, after in pairwise(places)]
    assert all(gap >= axes.APART - 1e-6 for gap in gaps)
    assert len(found) <= 60


@pytest.mark.parametrize(
    ("value", "up"), [(0.03, 0.05), (1, 1), (1.1, 2), (2.2, 2.5), (2.6, 5), (7, 10), (0.002, 0.002)]
)
def test_round_values(drawing, value, up):
    assert drawing("axes").round_up(value) == pytest.approx(up)


@pytest.mark.parametrize("values", [[0.0], [5.0], [0.1, 0.1], [30.0, 31.0], [0.0, 1e-9], [-1, 2]])
@pytest.mark.parametrize("zero", [True, False])
def test_an_axis_holds_its_values(drawing, values, zero):
    axes = drawing("axes")
    low, high = axes.ends(values, zero)
    assert low <= min(values) and max(values) < high and (not zero or low <= 0)
    scale = axes.Values(low, high, top=0, bottom=100)
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in scale.ticks()) and scale.ticks()
    assert scale.place(high) == 0 and scale.place(low) == 100
    assert scale.place(high + 1) == 0 and scale.place(low - 1) == 100


def test_words_are_broken_where_they_have_to_be(drawing):
    canvas = drawing("canvas")
    text = "sigma 1.000 to 0.875: cond 5 of 9 reused, uncond 5 of 9 reused, about 2.14x"
    lines = canvas.wrapped(text, 200)
    assert " ".join(lines) == text and all(canvas.width_of(line) <= 200 for line in lines)
    assert canvas.wrapped("unbreakable" * 9, 50) == ["unbreakable" * 9]
    short = canvas.shortened(text, 120)
    assert short.endswith("...") and canvas.width_of(short) <= 120
    assert canvas.shortened("short", 120) == "short" and canvas.shortened(text, 5) == ""


def clips(frames=6, height=24, width=32, error=0.05):
    generator = torch.Generator().manual_seed(0)
    reference = torch.rand(frames, height, width, 3, generator=generator)
    noise = torch.randn(reference.shape, generator=generator)
    return reference, (reference + error * noise).clamp(0, 1)


SHAPES = {
    "a picture": (1, 24, 32),
    "wide": (6, 24, 64),
    "high": (20, 64, 24),
    "long": (300, 12, 12),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
@pytest.mark.parametrize("error", [0.0, 0.1])
def test_any_clips_have_a_picture(drawing, part, shape, error):
    reference, candidate = clips(*shape, error)
    found = part("cache_core.comparison").compare(reference, candidate)
    picture = drawing("clips").clips_picture(reference, candidate, found, 0.1)
    assert picture.width >= 1200 and picture.height < 1600


@pytest.mark.parametrize(
    ("shown", "count", "worst", "expected"),
    [(1, 1, 0, [0]), (3, 3, 1, [0, 1, 2]), (5, 81, 80, [0, 20, 40, 60, 80]),
     (5, 81, 37, [0, 20, 37, 60, 80]), (5, 9, 0, [0, 2, 4, 6, 8])],
)  # fmt: skip
def test_the_worst_frame_is_always_shown(drawing, shown, count, worst, expected):
    assert drawing("clips").chosen(shown, count, worst) == expected


def test_heat_grows_brighter_with_the_difference(drawing):
    module = drawing("heat")
    shades = module.coloured(torch.linspace(0, 1, 64)).sum(-1)
    assert (shades.diff() > -0.05).all() and shades[-1] > 2 and shades[0] < 0.1
    reference = torch.zeros(1, 1, 4, 3)
    candidate = torch.tensor([0.0, 0.05, 0.1, 0.9]).reshape(1, 1, 4, 1).expand(1, 1, 4, 3)
    found = module.heat(reference, candidate, 0.1)
    assert torch.equal(found[0, 0], module.coloured(torch.tensor([0, 0.5, 1, 1])))


def test_pictures_come_and_go_as_they_are(drawing):
    module = drawing("image")
    frame = torch.randint(0, 256, (5, 7, 3)).float() / 255
    back = module.as_image(module.as_picture(frame))
    assert back.shape == (1, 5, 7, 3) and torch.equal(back[0], frame)
    assert isinstance(module.as_picture(torch.rand(4, 4, 4)), Image.Image)

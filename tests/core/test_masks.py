"""Step masks: how they are spelt, what is refused, and which steps of a run they speak of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache_core import StepCacheError
from cache_core.masks import first_step, parse_mask, place, require_length

LETTERS = [
    ("1", "1"),
    ("10", "10"),
    ("1111 0110 ...", "11110110..."),
    ("1,0,1\n1 0\t.", "10110."),
    ("11, 10", "1110"),
    ("...", "..."),
]
RANGES = [
    ("2", {2}),
    ("1-1", {1}),
    ("1-1, 10", {1, 10}),
    ("1-6, 8, 10, 20", {1, 2, 3, 4, 5, 6, 8, 10, 20}),
    ("1 - 3 5", {1, 2, 3, 5}),
    ("9,3-4,\n4-6", {3, 4, 5, 6, 9}),
]
WRONG = ["abc", "1x8", "0-3", "3-1", "-3", "3-", "1--3", "0, 2", "1.5", "1-2-3", ",", "2.9" * 9]


def computed(letters):
    """Steps with a 1, counted from 1."""
    return {step for step, letter in enumerate(letters, 1) if letter == "1"}


@pytest.mark.parametrize(("text", "letters"), LETTERS)
def test_text_of_0_1_and_dots_is_a_letter_for_every_step(text, letters):
    mask = parse_mask(text)
    assert (mask.letters, mask.exact) == (letters, True)
    fitting = [steps for steps in range(1, 30) if mask.fits(steps)]
    assert fitting == [len(letters)]


@pytest.mark.parametrize(("text", "steps"), RANGES)
def test_other_digits_and_dashes_make_it_the_steps_to_compute(text, steps):
    mask = parse_mask(text)
    assert computed(mask.part(0, 30)) == steps
    assert set(mask.part(0, 30)) == {"0", "1"}
    assert [n for n in range(1, 30) if mask.fits(n)] == list(range(max(steps), 30))


@pytest.mark.parametrize("text", ["", " ", "\n\t "])
def test_nothing_is_no_mask(text):
    assert parse_mask(text) is None
    require_length(text, 20)


@pytest.mark.parametrize("text", WRONG)
def test_what_is_neither_is_refused_with_both_forms(text):
    with pytest.raises(StepCacheError) as refused:
        parse_mask(text)
    message = str(refused.value)
    assert message.startswith(f"`step_mask` is {text!r}, but must be ")
    assert "1 (compute), 0 (reuse)" in message and "1-6, 8, 20" in message


@given(st.sets(st.integers(2, 60), min_size=1), st.sampled_from([", ", " ", ",\n"]))
def test_any_steps_can_be_named(steps, between):
    mask = parse_mask(between.join(map(str, sorted(steps))) + between + "2-2")
    assert computed(mask.part(0, 80)) == steps | {2}


@pytest.mark.parametrize(
    ("text", "steps", "said"),
    [
        ("111 000", 20, ["6 letters", "20 steps"]),
        ("1" * 21, 20, ["21 letters", "20 steps"]),
        ("1-6, 25", 20, ["steps up to 25", "20 steps"]),
    ],
)
def test_a_mask_for_another_schedule_is_refused_with_both_lengths(text, steps, said):
    with pytest.raises(StepCacheError) as refused:
        require_length(text, steps)
    assert str(refused.value).startswith(f"`step_mask` is {text!r}, ")
    assert all(words in str(refused.value) for words in said)
    require_length("1" * 20, steps)
    require_length("1-6, 20", steps)


# Which part of a schedule a run is


@given(st.integers(1, 200), st.data())
def test_a_part_of_an_even_schedule_is_found_where_it_was_cut(whole, data):
    first = data.draw(st.integers(0, whole - 1))
    steps = data.draw(st.integers(1, whole - first))
    rounding = data.draw(st.floats(-0.3, 0.3))
    assert first_step((first + rounding) / whole, whole, steps) == first


def test_a_part_never_reaches_beyond_its_schedule():
    assert first_step(0.74, 10, 3) == first_step(0.76, 10, 3) == 7
    assert first_step(0.99, 10, 3) == 7


TEN = "1100110011"
PLACED = [  # mask, steps of the run, whole, first percent; its letters, whether something is said
    ("whole", TEN, 10, 10.0, 0.0, TEN, False),
    ("first half", TEN, 5, 10.0, 0.0, "11001", True),
    ("second half", TEN, 5, 10.0, 0.5, "10011", True),
    ("nearly", TEN, 5, 10.04, 0.502, "10011", True),
    ("denoise", TEN, 3, 9.98, 0.698, "011", True),
    ("steps unknown", TEN, 10, None, 0.0, TEN, False),
    ("for the run alone", "10101", 5, 10.0, 0.5, "10101", False),
    ("ranges", "1-3, 9", 5, 10.0, 0.5, "00010", True),
    ("ranges of all", "1-3, 9", 12, 12.0, 0.0, "111000001000", False),
    ("other", "1010", 5, 10.0, 0.5, "11111", True),
    ("uneven", TEN, 4, 11.6, 0.0, "1111", True),
    ("beyond", "1-3, 12", 10, 10.0, 0.0, "1" * 10, True),
    ("longer than all", TEN, 6, 6.0, 0.0, "111111", True),
]


def percents(steps, whole, first):
    """Where the steps of a part of an even schedule start, and where its last ends."""
    return [first + step / (whole or steps) for step in range(steps + 1)]


@pytest.mark.parametrize(
    ("text", "steps", "whole", "first", "letters", "told"),
    [case[1:] for case in PLACED],
    ids=[case[0] for case in PLACED],
)
def test_a_run_takes_its_part_of_the_mask_or_computes(text, steps, whole, first, letters, told):
    placed = place(parse_mask(text), percents(steps, whole, first), whole)
    assert placed.letters == letters
    assert bool(placed.note) is told


def test_what_is_said_names_the_part_or_both_lengths():
    assert "steps 6 to 10 of 10" in place(parse_mask(TEN), percents(5, 10.0, 0.5), 10.0).note
    note = place(parse_mask("1010"), percents(5, 10.0, 0.5), 10.4).note
    assert "4 letters" in note and "5 of about 10 steps" in note and "everything" in note
    assert "(10 steps)" in place(parse_mask("1-12"), percents(10, 10.0, 0.0), 10.0).note


def test_without_a_mask_nothing_is_said():
    placed = place(None, percents(8, 8.0, 0.0), 8.0)
    assert (placed.letters, placed.note) == ("", "")


@pytest.mark.parametrize(
    ("text", "letters"), [("1-3, 9", "11111"), (TEN, "10011"), ("11.00", "11.00")]
)
def test_in_a_part_of_an_uneven_schedule_only_letters_are_placed(text, letters):
    """Steps 6 to 10 of 10 by their ends; in between they lie elsewhere."""
    placed = place(parse_mask(text), [0.5, 0.55, 0.62, 0.75, 0.9, 1.0], 10.0)
    assert placed.letters == letters
    assert ("everything is computed" in placed.note) is (text == "1-3, 9")


def test_a_whole_schedule_needs_no_even_steps():
    placed = place(parse_mask("1-2, 4"), [0.0, 0.05, 0.2, 0.4, 0.9, 1.0], 5.0)
    assert (placed.letters, placed.note) == ("11010", "")

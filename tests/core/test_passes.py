"""Passes of an evaluation are told apart by their patches, even if made anew for every call."""

import gc
from functools import partial

import pytest

from cache_core.passes import Living, Passes, mentions

COND, UNCOND = ("window", "cond"), ("window", "uncond")
LEARNT = 2
"""Evaluations after which the names of patches that are made anew are settled."""


class Context:
    """Something that a patch closes over."""


class Callable:
    """A patch that is an object."""

    def __call__(self, args, extra):
        return args

    def method(self, args, extra):
        return args


class Slotted:
    """A patch that knows no weak references."""

    __slots__ = ("scale",)

    def __call__(self, args, extra):
        return args


def closure(*held):
    """A new function that closes over something."""

    def patch(args, extra):
        return args, held[0] if held else None

    return patch


def flagged(flag, context):
    """A new function that closes over a word and an object."""

    def patch(args, extra):
        return args if flag else context

    return patch


def with_default(context):
    """A new function that holds something in its defaults."""

    def patch(args, extra, context=context):
        return context

    return patch


STABLE = closure(1)
OTHER = closure(2)
OBJECT = Callable()


def names_of(*evaluations):
    """The name of each model call: calls are (patches by place, rows)."""
    passes, told = Passes(), []
    for calls in evaluations:
        passes.begin()
        told.append([passes.name(patches, rows) for patches, rows in calls])
    return told


def both(patch, place="block 9"):
    """A model call with cond and uncond."""
    return {place: patch}, (UNCOND, COND)


def cond(patch, place="block 9"):
    """A model call with cond alone."""
    return {place: patch}, (COND,)


NOTHING = ({}, (UNCOND, COND))


@pytest.mark.parametrize(
    "evaluation",
    [
        lambda: [NOTHING],
        lambda: [both(STABLE)],
        lambda: [both(OBJECT)],
        lambda: [both(len)],
        lambda: [NOTHING, cond(STABLE)],
        lambda: [both(STABLE), cond(OTHER)],
        lambda: [both(STABLE), cond(STABLE, "block 10")],
        lambda: [both(Callable), cond(Slotted())],
    ],
)
def test_patches_that_stay_have_their_names_from_the_first_evaluation_on(evaluation):
    first, *others = names_of(*(evaluation() for _ in range(5)))
    assert others == [first] * 4
    assert len(set(first)) == len(first)


@pytest.mark.parametrize(
    "fresh",
    [
        lambda: closure(Context()),
        closure,
        lambda: closure([1, 2]),
        lambda: flagged(True, Context()),
        lambda: with_default(Context()),
        lambda: partial(closure, Context(), scale=Context()),
        lambda: OBJECT.method,
        Callable,
        lambda: Callable().method,
    ],
)
def test_patches_made_anew_for_every_call_have_one_name_once_that_is_learnt(fresh):
    """An extra pass of cond with one, and one in each of two calls that are cond and uncond."""
    kept = []

    def evaluation():
        patches = [fresh() for _ in range(3)]
        kept.extend(patches)  # alive, so that no address is used twice
        return [NOTHING, cond(patches[0]), *([({"block 3": p}, (r,)) for p, r in
                zip(patches[1:], (UNCOND, COND), strict=True)])]  # fmt: skip

    names = names_of(*(evaluation() for _ in range(6)))
    settled = names[LEARNT]
    assert names[LEARNT:] == [settled] * 4
    plain, extra, split, other = settled
    assert len({plain, extra, split}) == 3 and split == other


def test_a_number_that_counts_steps_is_no_part_of_the_name():
    names = names_of(*([cond(closure(step))] for step in range(6)))
    assert names[LEARNT:] == [names[LEARNT]] * 4


def test_what_comes_again_stays_in_the_name_of_patches_made_anew():
    """Two passes with patches alike but for a word they close over."""

    def evaluation():
        return [both(flagged(False, Context())), cond(flagged(True, Context()))]

    names = names_of(*(evaluation() for _ in range(6)))
    assert names[LEARNT:] == [names[LEARNT]] * 4
    assert len(set(names[LEARNT])) == 2


@pytest.mark.parametrize("first", [0, 1, 2])
def test_passes_that_nothing_lasting_tells_apart_never_share_a_name(first):
    """Nor does one that ends leave its name to the other: each call is a stranger from then on.

    first: passes in the first evaluation.
    """
    kept = [[cond(closure(Context())) for _ in range(count)] for count in (first, 2, 2, 1, 2, 1, 1)]
    names = names_of(*kept)
    told = [name for evaluation in names[3:] for name in evaluation]
    assert len(set(told)) == len(told)


def test_a_second_pass_that_starts_late_costs_the_first_its_name():
    kept = [[cond(closure(Context())) for _ in range(count)] for count in (1, 1, 1, 1, 2, 1, 2)]
    names = names_of(*kept)
    assert names[2] == names[3] == [names[4][0]]
    assert len({name for evaluation in names[5:] for name in evaluation}) == 3


def test_a_stable_patch_is_known_again_after_a_pause():
    evaluations = [[NOTHING, cond(STABLE)], [NOTHING], [NOTHING, cond(STABLE)]]
    (_, before), _, (_, after) = names_of(*evaluations)
    assert before == after


def test_one_that_replaces_another_at_its_place_has_a_name_of_its_own():
    """Another patch of the same code, from the fourth evaluation on."""
    names = names_of(*[[cond(STABLE)]] * 3, *[[cond(OTHER)]] * 4)
    assert names[:3] == [names[0]] * 3
    assert names[0] not in names[3:]


def test_the_same_condition_twice_does_not_make_strangers_of_patches_that_stay():
    twice = {"block 9": STABLE}, (COND, COND)
    names = names_of(*[[twice]] * 4)
    assert names == [names[0]] * 4


def test_windows_share_the_name_of_patches_made_anew():
    def evaluation():
        return [({"block 9": closure(Context())}, ((window, "cond"),)) for window in range(3)]

    names = names_of(*(evaluation() for _ in range(5)))
    assert {name for names in names[LEARNT:] for name in names} == {names[LEARNT][0]}


def test_an_object_is_never_taken_for_a_later_one_at_its_address():
    for _ in range(1000):
        old = Context()
        known, address = Living(old), id(old)
        assert known == Living(old) and hash(known) == hash(Living(old))
        del old
        later = Context()
        if id(later) == address:
            break
    assert id(later) == address, "no address was used again"
    assert known != Living(later) and hash(known) == hash(Living(later))
    assert known != address


def test_nothing_that_a_patch_holds_is_kept_alive():
    alive = []

    class Heavy:
        def __init__(self):
            alive.append(self)

        def __del__(self):
            alive.append(None)

    passes = Passes()
    for _ in range(4):
        passes.begin()
        heavy = Heavy()
        del alive[:]
        passes.name({"block 9": closure(heavy)}, (COND,))
        del heavy
        gc.collect()
        assert alive == [None]


def test_a_cell_that_is_not_filled_yet_is_no_obstacle():
    def unfilled():
        def patch(args, extra):
            return later

        name = Passes().name({"block 9": patch}, (COND,))
        later = 1
        return name, later

    assert unfilled()[0] is not None


class Reading:
    """A patch that asks which branches run."""

    def __call__(self, out, options):
        return out if 1 in options["cond_or_uncond"] else None

    def method(self, out, options):
        return options.get("cond_or_uncond")


def reading(out, options):
    """Asks which branches run."""
    return options.get("cond_or_uncond", out)


@pytest.mark.parametrize("patch", [reading, Reading(), Reading().method, partial(reading, 1)])
def test_a_patch_that_asks_which_branches_run_is_recognised(patch):
    assert mentions(patch, "cond_or_uncond")


@pytest.mark.parametrize("patch", [STABLE, OBJECT, OBJECT.method, len, partial(len)])
def test_and_others_are_not(patch):
    assert not mentions(patch, "cond_or_uncond")

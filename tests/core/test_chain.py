"""Several methods on one model: their order, and what makes no sense together."""

from itertools import combinations, permutations

import pytest
from toy import FREE, TOY

from cache_core import CacheConfig, FBCache, Method
from cache_core.chain import clashes, in_precedence

NAMES = ("FBCache", "TeaCache", "MagCache", "TaylorSeer")
EVERY = (*NAMES, "AdaCache", "CustomCache", "EasyCache")
SENSELESS = {frozenset({"TeaCache", "CustomCache"}), frozenset({"TaylorSeer", "AdaCache"})}


def method(name):
    return Method(FBCache(0.1, name=name), FREE)


def names(methods):
    return [method.name for method in methods]


@pytest.mark.parametrize("chained", list(permutations(NAMES)))
def test_fbcache_then_teacache_then_the_others_as_they_were_chained(chained):
    config = CacheConfig(TOY, ())
    for name in chained:
        config = config.with_method(method(name), None)
    others = [name for name in chained if name in ("MagCache", "TaylorSeer")]
    assert names(config.methods) == ["FBCache", "TeaCache", *others]
    assert names(in_precedence(map(method, chained))) == names(config.methods)


def test_a_replaced_method_is_the_last_of_its_rank():
    config = CacheConfig(TOY, ())
    for name in ("MagCache", "EasyCache", "FBCache", "MagCache"):
        config = config.with_method(method(name), None)
    assert names(config.methods) == ["FBCache", "EasyCache", "MagCache"]


@pytest.mark.parametrize("name", EVERY)
def test_the_same_method_twice_is_said(name):
    told = clashes([method("Other"), method(name)], method(name))
    assert told == [f"{name} is applied twice; the later node replaces the earlier one."]


@pytest.mark.parametrize("pair", list(combinations(EVERY, 2)), ids="-".join)
def test_pairs_of_which_one_never_decides_are_said_in_either_order(pair):
    one, other = map(method, pair)
    told = [clashes([one], other), clashes([other], one)]
    assert [len(said) for said in told] == [int(frozenset(pair) in SENSELESS)] * 2
    for said in (*told[0], *told[1]):
        assert pair[0] in said and pair[1] in said and "decides nothing" in said

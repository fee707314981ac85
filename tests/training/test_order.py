"""The order of sequences: quotas, permutations, resumption."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.base.errors import UserError
from tilth.training import FixedMixture, Order

NAMES, SIZES = ["zh", "code", "en"], [7, 3, 11]


@settings(max_examples=300, deadline=None)
@given(weights=st.lists(st.floats(0.01, 1.0), min_size=1, max_size=9))
def test_every_prefix_keeps_the_quota_to_less_than_one_sequence(weights: list[float]) -> None:
    order = Order([f"g{i}" for i in range(len(weights))], [1] * len(weights), 8, seed=0)
    total = sum(weights)
    for count in range(1, 300):
        order.pick(weights)
        assert all(abs(p - count * w / total) < 1 for p, w in zip(order.picked, weights, strict=True))


def test_ties_go_by_name_whatever_the_order_of_groups() -> None:
    picks = []
    for names in (["b", "a", "c"], ["c", "b", "a"]):
        order = Order(names, [5, 5, 5], 8, seed=0)
        picks.append([names[order.pick([1, 1, 1])] for _ in range(9)])
    assert picks[0] == picks[1] == ["a", "b", "c"] * 3


def test_each_epoch_is_another_permutation() -> None:
    order = Order(["a", "b"], [50, 50], 8, seed=1)
    epochs = [[order.item(0, j) for j in range(50 * e, 50 * e + 50)] for e in range(3)]
    assert all(sorted(epoch) == list(range(50)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert epochs[0] != [order.item(1, j) for j in range(50)]
    assert epochs[0] != [Order(["a", "b"], [50, 50], 8, seed=2).item(0, j) for j in range(50)]


def test_in_proportion_to_size_an_epoch_sees_everything_once() -> None:
    order = Order(NAMES, SIZES, 8, seed=1)
    weights = FixedMixture(NAMES, SIZES, None).weights(0)
    seen = Counter(order.draw(weights) for _ in range(sum(SIZES)))
    assert seen == {(group, index): 1 for group, size in enumerate(SIZES) for index in range(size)}


@given(stop=st.integers(0, 60))
@settings(max_examples=20, deadline=None)
def test_resuming_continues_exactly(stop: int) -> None:
    weights = [0.5, 0.2, 0.3]
    whole, order = Order(NAMES, SIZES, 8, seed=3), Order(NAMES, SIZES, 8, seed=3)
    expected = [whole.draw(weights) for _ in range(80)]
    found = [order.draw(weights) for _ in range(stop)]
    state = json.loads(json.dumps(order.state_dict()))
    again = Order(NAMES[::-1], SIZES[::-1], 8, seed=3)  # the groups may come in another order
    again.load_state_dict(state)
    found += [(2 - group, index) for group, index in (again.draw(weights[::-1]) for _ in range(80 - stop))]
    assert found == expected


def test_a_phase_goes_on_where_the_one_before_stopped() -> None:
    first = Order(NAMES, SIZES, 8, seed=0)
    for _ in range(10):
        first.draw([1, 1, 1])
    state = first.state_dict()
    second = Order(["en", "law", "zh"], [11, 4, 7], 8, seed=0)
    second.continue_from(state)
    assert second.drawn == [state["drawn"]["en"], 0, state["drawn"]["zh"]]
    assert second.picked == [0, 0, 0]
    third = Order(NAMES, SIZES, 8, seed=0)
    third.continue_from(second.state_dict())
    assert third.drawn == first.drawn  # also of the group that the second phase did not have
    other_length = Order(NAMES, SIZES, 16, seed=0)
    other_length.continue_from(state)
    assert other_length.drawn == [0, 0, 0]
    with pytest.raises(UserError, match="saved order is of groups"):
        second.load_state_dict(state)


def test_mixtures_name_groups_that_exist() -> None:
    assert FixedMixture(NAMES, SIZES, {"zh": 1, "en": 3}).weights(0) == [0.25, 0.0, 0.75]
    with pytest.raises(UserError, match="did you mean 'code'"):
        FixedMixture(NAMES, SIZES, {"cod": 1})
    with pytest.raises(UserError, match="has no sequence"):
        FixedMixture(NAMES, [7, 0, 11], {"code": 1})
    with pytest.raises(UserError, match="no sequence to train on"):
        FixedMixture(NAMES, [0, 0, 0], None)


@settings(max_examples=50, deadline=None)
@given(changes=st.lists(st.sampled_from([[1, 0, 0], [0, 1, 5], [0.1, 0.1, 0.8], [0, 0, 1]]), min_size=2, max_size=6))
def test_changing_weights_pick_only_what_they_name(changes: list[list[float]]) -> None:
    order = Order(NAMES, SIZES, 8, seed=0)
    for weights in changes:
        assert all(weights[order.pick(weights)] > 0 for _ in range(7))

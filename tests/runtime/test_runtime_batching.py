from __future__ import annotations

import numpy as np
import pytest

from edgepipe.runtime.batching import BUDGET, mask, pad, plan, share


def test_by_hand() -> None:
    assert plan([3, 1, 4, 1, 5], budget=8) == [[1, 3], [0, 2], [4]]


def test_equal_lengths_by_hand() -> None:
    assert plan([3, 1, 3, 1, 1, 3, 3], budget=6, equal=True) == [[1, 3, 4], [0, 2], [5, 6]]


@pytest.mark.parametrize("equal", [False, True])
@pytest.mark.parametrize("budget", [1, 40, BUDGET])
def test_what_every_plan_holds(budget, equal) -> None:
    lengths = np.random.default_rng(0).integers(1, 60, 300).tolist()
    batches = plan(lengths, budget=budget, equal=equal)
    assert sorted(index for batch in batches for index in batch) == list(range(300))
    for batch in batches:
        sizes = [lengths[index] for index in batch]
        assert len(batch) == 1 or max(sizes) * len(batch) <= budget
        assert not equal or len(set(sizes)) == 1


def test_similar_lengths_share_a_batch() -> None:
    lengths = np.random.default_rng(1).integers(5, 60, 1000).tolist()
    padded = sum(max(lengths[i] for i in batch) * len(batch) for batch in plan(lengths))
    assert padded < 1.03 * sum(lengths)
    assert len(plan(lengths)) < 1.25 * sum(lengths) / BUDGET


def test_nothing_to_plan() -> None:
    assert plan([]) == []


def test_padding_and_mask_by_hand() -> None:
    padded = pad([[5, 6, 7], [8]], 9)
    assert padded.tolist() == [[5, 6, 7], [8, 9, 9]]
    assert mask([3, 1]).tolist() == [[1, 1, 1], [1, 0, 0]]
    assert padded.dtype == mask([3, 1]).dtype == np.int64


@pytest.mark.parametrize(
    ("tokens", "workers", "expected"),
    [
        (10, 1, BUDGET),
        (9999, 1, BUDGET),
        (400, 2, 200),
        (300, 2, 150),
        (10, 2, 128),
        (9999, 4, 256),
    ],
)
def test_the_budget_of_a_worker(tokens: int, workers: int, expected: int) -> None:
    assert share(tokens, workers) == expected

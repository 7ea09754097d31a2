from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from edgepipe.data.splits import TEST, TRAIN, VALIDATION, assign, overlaps, text_key
from edgepipe.errors import DataError


def keys(count: int) -> list[bytes]:
    return [text_key(str(n)) for n in range(count)]


def table(where: np.ndarray, labels: list[int]) -> Counter[tuple[int, int]]:
    return Counter(zip(where.tolist(), labels, strict=True))


def test_shares_hold_in_every_class() -> None:
    labels = [0] * 700 + [1] * 200 + [2] * 100
    where = assign(keys(1000), labels, ("a", "b", "c"), validation=0.1, test=0.2, seed=0)
    found = table(where, labels)
    for label, count in enumerate((700, 200, 100)):
        assert found[TEST, label] == 0.2 * count
        assert found[VALIDATION, label] == 0.1 * count
        assert found[TRAIN, label] == 7 * count // 10


@pytest.mark.parametrize("seed", range(20))
def test_the_rarest_class_is_in_every_split(seed: int) -> None:
    labels = [0] * 88 + [1] * 6 + [2] * 6
    where = assign(keys(100), labels, ("a", "b", "c"), validation=0.1, test=0.1, seed=seed)
    assert len(table(where, labels)) == 9


@pytest.mark.parametrize(("validation", "test"), [(0.5, 0.5), (0.49, 0.5), (0.01, 0.5)])
def test_something_is_left_to_train_on(validation: float, test: float) -> None:
    labels = [0, 1] * 6
    where = assign(keys(12), labels, ("a", "b"), validation=validation, test=test, seed=0)
    assert len(table(where, labels)) == 6


def test_the_same_seed_gives_the_same_split_and_another_gives_another() -> None:
    labels = [n % 3 for n in range(300)]

    def split(seed: int) -> list[int]:
        given = assign(keys(300), labels, tuple("abc"), validation=0.2, test=0.2, seed=seed)
        return given.tolist()

    assert split(1) == split(1)
    assert split(1) != split(2)


def test_splits_are_drawn_and_not_cut_off_an_end() -> None:
    where = assign(keys(1000), [0, 1] * 500, ("a", "b"), validation=0.0, test=0.5, seed=0)
    held_out = np.flatnonzero(where == TEST)
    assert 450 < held_out.mean() < 550
    assert np.unique(np.diff(held_out)).size > 3


def test_equal_texts_go_together() -> None:
    """Every text three times, differing in case and white space."""
    texts = [f"Text {n}" for n in range(60)] + [f"text   {n}" for n in range(60)]
    texts += [f" TEXT {n}\n" for n in range(60)]
    labels = [n % 2 for n in range(60)] * 3
    where = assign(
        [text_key(text) for text in texts], labels, ("a", "b"), validation=0.2, test=0.2, seed=0
    )
    assert set(where.tolist()) == {TRAIN, VALIDATION, TEST}
    assert (where[:60] == where[60:120]).all()
    assert (where[:60] == where[120:]).all()


@pytest.mark.parametrize(("validation", "test"), [(0.2, 0.0), (0.0, 0.2)])
def test_a_share_of_zero_makes_no_such_split(validation: float, test: float) -> None:
    where = assign(
        keys(20), [0, 1] * 10, ("a", "b"), validation=validation, test=test, seed=0
    ).tolist()
    assert set(where) == {TRAIN, VALIDATION if validation else TEST}


def test_too_few_texts_of_a_class_are_named() -> None:
    """Six rows of the second class, but all with the same text."""
    labels = [0] * 6 + [1] * 6
    repeated = keys(6) + [text_key("again")] * 6
    with pytest.raises(DataError, match=r"^label 'b' has 1 different texts, too few for 3 splits"):
        assign(repeated, labels, ("a", "b"), validation=0.1, test=0.1, seed=0)
    with pytest.raises(DataError, match=r"^label 'b' has 3 different texts, too few for 2 splits"):
        assign(keys(9), [0] * 6 + [1] * 3, ("a", "b"), validation=0.1, test=0.0, seed=0)


def test_overlaps_count_different_texts_of_every_pair() -> None:
    found = overlaps({"train": {b"a", b"b", b"c"}, "validation": {b"b"}, "test": {b"b", b"c"}})
    assert found == {
        "duplicates train/validation": 1,
        "duplicates train/test": 2,
        "duplicates validation/test": 1,
    }


def test_what_counts_as_the_same_text() -> None:
    assert text_key("A  b\n") == text_key("a b")
    assert text_key("a b") != text_key("ab")

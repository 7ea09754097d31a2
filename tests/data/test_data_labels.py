from __future__ import annotations

import pytest

from edgepipe.data.labels import LabelMap, label_names
from edgepipe.data.readers import Example
from edgepipe.errors import DataError


@pytest.mark.parametrize(
    ("seen", "asked", "names", "numbers"),
    [
        (["pos", "neg"], None, ("neg", "pos"), False),
        (["pos", "neg"], ("pos", "neg"), ("pos", "neg"), False),
        (["pos", "neg"], ("pos", "neg", "unused"), ("pos", "neg", "unused"), False),
        (["1", "0", "2"], None, ("0", "1", "2"), True),
        (["1", "0"], ("neg", "pos"), ("neg", "pos"), True),
        (["1"], ("neg", "pos"), ("neg", "pos"), True),
        (["1", "2", "3"], ("1", "2", "3"), ("1", "2", "3"), False),
        (["-1", "1"], None, ("-1", "1"), False),
        (["00", "01"], None, ("00", "01"), False),
        ([str(n) for n in range(12)], None, tuple(str(n) for n in range(12)), True),
    ],
)
def test_names_in_index_order_and_whether_files_write_indices(
    seen: list[str],
    asked: tuple[str, ...] | None,
    names: tuple[str, ...],
    numbers: bool,  # noqa: FBT001
) -> None:
    assert label_names(seen, asked) == (names, numbers)


@pytest.mark.parametrize(
    ("seen", "asked", "problem"),
    [
        (["a"], None, "two classes or more, the data has ['a']"),
        (["0"], None, "two classes or more, the data has ['0']"),
        (["a", "b"], ("a",), "two classes or more"),
        (["1", "2", "3"], None, "numbers up to 3, but 0 never occur in the training split"),
        (["0", "9"], None, "numbers up to 9, but 1, 2, 3, 4, 5 never occur"),
        (["0", "1", "5"], ("a", "b", "c"), "has label 5, but only 3 labels are named"),
        (["a", "b"], ("a", "b", "a"), "label names have to be distinct"),
        (["a", "b"], ("a", "b", " "), "label names have to be distinct and not empty"),
    ],
)
def test_labels_that_cannot_be(
    seen: list[str], asked: tuple[str, ...] | None, problem: str
) -> None:
    with pytest.raises(DataError) as caught:
        label_names(seen, asked)
    assert problem in str(caught.value)


def test_a_column_of_large_numbers_is_refused_at_once() -> None:
    """The wrong column, most likely; a name for every number below would not fit into memory."""
    with pytest.raises(DataError, match=r"numbers up to 900000000, but 0, 1, 2, 3, 4 never"):
        label_names(["7", "900000000"], None)
    assert label_names(["7", "9" * 30], None) == (("7", "9" * 30), False)


def test_the_index_of_a_label() -> None:
    by_name = LabelMap(("neg", "pos"), numbers=False)
    by_number = LabelMap(("neg", "pos"), numbers=True)
    assert [by_name(Example("f:1", "x", label)) for label in ("neg", "pos")] == [0, 1]
    assert [by_number(Example("f:1", "x", label)) for label in ("0", "1")] == [0, 1]


def test_an_unknown_label_names_its_line_and_the_nearest() -> None:
    with pytest.raises(DataError) as caught:
        LabelMap(("negative", "positive"), numbers=False)(Example("f.csv:7", "x", "postive"))
    assert str(caught.value) == (
        "f.csv:7: unknown label 'postive' (labels: negative, positive); did you mean 'positive'?"
    )

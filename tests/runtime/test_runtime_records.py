from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pytest

from edgepipe.runtime.records import MismatchError, decode


@dataclass(frozen=True)
class Inner:
    size: float


@dataclass(frozen=True)
class Outer:
    name: str
    on: bool
    kind: Literal["a", "b"]
    inner: Inner
    maybe: Inner | None = None
    many: tuple[Inner, ...] = ()
    named: dict[str, int] = field(default_factory=dict)


SMALLEST = {"name": "x", "on": True, "kind": "a", "inner": {"size": 1}}


def test_defaults_fill_what_is_absent() -> None:
    assert decode(Outer, SMALLEST) == Outer("x", True, "a", Inner(1))


def test_all_kinds_of_fields() -> None:
    full = {**SMALLEST, "maybe": {"size": 2.5}, "many": [{"size": 3}], "named": {"k": 4}}
    expected = Outer("x", True, "a", Inner(1), Inner(2.5), (Inner(3),), {"k": 4})
    assert decode(Outer, full) == expected


def test_null_is_none_where_allowed() -> None:
    assert decode(Outer, {**SMALLEST, "maybe": None}).maybe is None


def test_unknown_keys_are_left_aside() -> None:
    assert decode(Inner, {"size": 1, "colour": "red"}) == Inner(1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": None}, "name is None, not text"),
        ({"on": 1}, "on is 1, not true or false"),
        ({"kind": "c"}, "kind is 'c', not one of a, b"),
        ({"inner": []}, r"inner is \[\], not an object"),
        ({"inner": {}}, "inner.size is missing"),
        ({"inner": {"size": "1"}}, "inner.size is '1', not a number"),
        ({"inner": {"size": True}}, "inner.size is True, not a number"),
        ({"maybe": {"size": []}}, r"maybe.size is \[\], not a number"),
        ({"many": [{"size": 1}, 2]}, r"many\[1\] is 2, not an object"),
        ({"named": {"k": 1.5}}, r"named\['k'\] is 1.5, not a whole number"),
    ],
)
def test_a_mistake_is_told_with_its_place(change: dict[str, object], message: str) -> None:
    with pytest.raises(MismatchError, match=message):
        decode(Outer, {**SMALLEST, **change})


def test_no_object_at_all() -> None:
    with pytest.raises(MismatchError, match="the whole is 3, not an object"):
        decode(Outer, 3)

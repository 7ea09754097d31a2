"""Plain JSON values to typed, frozen dataclasses, or an error that names the place."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


class MismatchError(ValueError):
    """A value is not what its field wants; the message starts with the field's place."""


def decode(cls: type[T], value: object, place: str = "") -> T:
    """An instance of the dataclass ``cls`` with the fields of the JSON object ``value``.

    Fields may be str, int, float, bool, ``Literal``, ``tuple[X, ...]``, ``dict[str, X]``,
    ``X | None`` or another dataclass. Keys that ``cls`` does not know are left aside, so that a
    later version may add some. Raises MismatchError.
    """
    if not isinstance(value, dict):
        raise _mismatch(place, "an object", value)
    hints = typing.get_type_hints(cls)
    found = {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type] # T is a dataclass
        inner = f"{place}.{field.name}" if place else field.name
        if field.name in value:
            found[field.name] = _convert(hints[field.name], value[field.name], inner)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise MismatchError(f"{inner} is missing")
    return cls(**found)


def _convert(hint: Any, value: object, place: str) -> object:
    if hint in _NAMES:
        return _plain(hint, value, place)
    if dataclasses.is_dataclass(hint):
        return decode(hint, value, place)  # type: ignore[arg-type] # a class, not an instance
    return _COMPOUND[typing.get_origin(hint)](typing.get_args(hint), value, place)


def _plain(kind: type, value: object, place: str) -> object:
    allowed = (int, float) if kind is float else kind
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
        raise _mismatch(place, _NAMES[kind], value)
    return value


def _tuple(inner: tuple[Any, ...], value: object, place: str) -> tuple[object, ...]:
    if not isinstance(value, list):
        raise _mismatch(place, "a list", value)
    return tuple(_convert(inner[0], item, f"{place}[{n}]") for n, item in enumerate(value))


def _dict(inner: tuple[Any, ...], value: object, place: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise _mismatch(place, "an object", value)
    return {key: _convert(inner[1], item, f"{place}[{key!r}]") for key, item in value.items()}


def _literal(allowed: tuple[Any, ...], value: object, place: str) -> object:
    if value not in allowed:
        raise _mismatch(place, f"one of {', '.join(map(str, allowed))}", value)
    return value


def _optional(inner: tuple[Any, ...], value: object, place: str) -> object:
    return None if value is None else _convert(inner[0], value, place)


_COMPOUND: dict[Any, Callable[[tuple[Any, ...], object, str], object]] = {
    tuple: _tuple,
    dict: _dict,
    typing.Literal: _literal,
    types.UnionType: _optional,
}


def _mismatch(place: str, wanted: str, value: object) -> MismatchError:
    return MismatchError(f"{place or 'the whole'} is {value!r:.80}, not {wanted}")

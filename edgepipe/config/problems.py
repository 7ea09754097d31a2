"""What pydantic found wrong: the setting, the value got and the way to mend it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from edgepipe.pipeline.graph import Problem, near

At = tuple[str | int, ...]
_WIDTH = 60
_AT_A_GLANCE = 2
"""So few choices need no hint, and "gpu" is closer to "cpu" than to "cuda"."""
_WORDS = {"an object": "a table", "a valid dictionary": "a table"}


def explain(error: ValidationError, model: Any, table: Any) -> Iterator[Problem]:
    """One Problem for each place that is wrong; ``at`` is relative to ``table``, which was read.

    Where a setting takes one of several forms, all of them are named in one line, or only what is
    wrong inside the form that was used.
    """
    by_place: dict[At, list[ErrorDetails]] = {}
    for found in error.errors(include_url=False):
        by_place.setdefault(_place(found, table), []).append(found)
    for place, details in by_place.items():
        if not any(other != place and other[: len(place)] == place for other in by_place):
            yield Problem(place, _text(details, place, model))


def _place(found: ErrorDetails, table: Any) -> At:
    """The path as the file spells it: pydantic puts names of a union's branches in between."""
    if found["type"] in ("union_tag_not_found", "union_tag_invalid"):
        return (*_spelt(found["loc"], table), found["ctx"]["discriminator"].strip("'"))
    if found["type"] == "missing":
        return (*_spelt(found["loc"][:-1], table), found["loc"][-1])
    return _spelt(found["loc"], table)


def _spelt(loc: At, table: Any) -> At:
    place: list[str | int] = []
    for key in loc:
        known = table if isinstance(table, Mapping) else range(_length(table))
        if key in known:
            place.append(key)
            table = table[key]
    return tuple(place)


def _length(value: Any) -> int:
    return len(value) if isinstance(value, list) else 0


def _text(details: Sequence[ErrorDetails], place: At, model: Any) -> str:
    first = details[0]
    match first["type"]:
        case "extra_forbidden":
            return f"unknown setting{near(str(place[-1]), _settings(model, place[:-1]))}"
        case "missing" | "union_tag_not_found":
            return "is missing"
        case "union_tag_invalid":
            tag, tags = str(first["ctx"]["tag"]), str(first["ctx"]["expected_tags"])
            return f"has to be one of {tags}, got {_show(tag)}{near(tag, _words(tags))}"
        case "too_short":
            return f"needs {first['ctx']['min_length']} or more, got {_show(first['input'])}"
        case "value_error":
            return first["msg"].removeprefix("Value error, ")
    words = [word for f in details if _names_words(f) for word in _words(f["ctx"]["expected"])]
    hint = near(str(first["input"]), words) if len(words) > _AT_A_GLANCE else ""
    demands = " or ".join(dict.fromkeys(map(_demand, details)))
    return f"{demands.replace(' or has to be ', ' or ')}, got {_show(first['input'])}{hint}"


def _names_words(found: ErrorDetails) -> bool:
    return found["type"] in ("literal_error", "enum")


def _words(expected: str) -> list[str]:
    return expected.replace(" or ", ", ").replace("'", "").split(", ")


def _demand(found: ErrorDetails) -> str:
    """``has to be a valid integer``, ``string should have at least 1 character``."""
    asked = found["msg"].removeprefix("Input should be ")
    if asked != found["msg"]:
        return f"has to be {_WORDS.get(asked, asked)}"
    return asked[:1].lower() + asked[1:]


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _WIDTH else text[: _WIDTH - 3] + "..."


def _settings(model: Any, place: At) -> list[str]:
    """Every field name of the models at ``place`` in ``model``."""
    owners = list(_models(model))
    for key in place:
        fields = [o.model_fields[str(key)] for o in owners if key in o.model_fields]
        owners = [inner for field in fields for inner in _models(field.annotation)]
    return [name for owner in owners for name in owner.model_fields]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that an annotation allows: itself, or members of its unions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    for inner in get_args(annotation):
        yield from _models(inner)

"""What pydantic found wrong: the setting, the value got and the way to mend it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from edgepipe.pipeline.graph import Problem, near


def explain(error: ValidationError, model: Any) -> Iterator[Problem]:
    """One Problem for each setting that is wrong; ``at`` is relative to the model's table.

    Where a setting takes one of several forms, only the complaints about the form that came
    closest (fewest complaints, then deepest) are kept.
    """
    by_setting: dict[object, list[ErrorDetails]] = {}
    for found in error.errors(include_url=False):
        by_setting.setdefault(found["loc"][:1], []).append(found)
    for details in by_setting.values():
        for found in _closest(details):
            yield Problem(_keys(found), _text(found, model))


def _closest(details: list[ErrorDetails]) -> Iterable[ErrorDetails]:
    """Of a union's complaints, those of the branch whose shape fits the value."""
    branches: dict[object, list[ErrorDetails]] = {}
    for found in details:
        branches.setdefault(found["loc"][1:2], []).append(found)
    if len(branches) == 1 or not all(len(f["loc"]) > 1 for f in details):
        return details
    deep = [b for b in branches.values() if any(not f["type"].endswith("_type") for f in b)]
    return min(deep or list(branches.values()), key=len)


def _keys(found: ErrorDetails) -> tuple[str | int, ...]:
    """The path as the file spells it: pydantic's names of union branches are no keys."""
    if found["type"] in ("union_tag_not_found", "union_tag_invalid"):
        return (found["ctx"]["discriminator"].strip("'"),)
    return tuple(
        k for k in found["loc"] if not (isinstance(k, str) and _is_branch(k, found["loc"]))
    )


def _is_branch(key: str, loc: tuple[str | int, ...]) -> bool:
    return any(mark in key for mark in "[]-(") or (key != loc[-1] and key[:1].isupper())


def _text(found: ErrorDetails, model: Any) -> str:
    got = found["input"]
    match found["type"]:
        case "extra_forbidden":
            return f"unknown setting{near(str(found['loc'][-1]), _settings(model))}"
        case "missing":
            return "is missing"
        case "literal_error" | "enum":
            expected = str(found["ctx"]["expected"])
            words = expected.replace(" or ", ", ").replace("'", "").split(", ")
            return f"has to be {expected}, got {_show(got)}{near(str(got), words)}"
        case "union_tag_invalid":
            expected = str(found["ctx"]["expected_tags"])
            words = expected.replace("'", "").split(", ")
            return f"has to be one of {expected}, got {found['ctx']['tag']!r}" + near(
                str(found["ctx"]["tag"]), words
            )
        case "union_tag_not_found":
            return "is missing"
        case _:
            message = found["msg"].removeprefix("Value error, ").removeprefix("Input ")
            return f"{message[:1].lower()}{message[1:]}, got {_show(got)}"


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004 - a line on a terminal


def _settings(model: Any) -> list[str]:
    """Every field name of a model, or of the members of a union."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        return list(model.model_fields)
    inner = getattr(model, "_type", model)
    return [name for member in get_args(inner) for name in _settings(member)]

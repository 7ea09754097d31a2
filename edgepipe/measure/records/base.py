"""What every record of a measurement shares: versions, intervals, bootstrapped figures, packing."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from edgepipe import disk
from edgepipe.errors import BundleError, UsageError

REPORT = "report.json"
SCHEMA: Literal[2] = 2
PROBABILITIES = (
    *(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(0.75, 0.9, 0.95, 0.975, 0.99, 0.995, 0.999),
)
"""Where an Estimate keeps the quantiles of its bootstrap distribution."""
_ROUNDING = 1e-9
_INT32 = np.dtype("<i4")
_EXPANDS = 1032
"""Bytes that one byte of zlib's can stand for, at most (a match of 258 bytes in two bits)."""
Ints = npt.NDArray[np.int64]
Count = Annotated[int, Field(ge=0, le=100_000_000)]
"""Of texts, calls and the like: what claims more is damaged, and would not fit into memory."""
Bytes = Annotated[int, Field(ge=0, lt=1 << 60)]
NotNegative = Annotated[float, Field(ge=0)]
Above0 = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Record(BaseModel):
    """A frozen, strict part of a report. NaN and infinity are damage."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, populate_by_name=True, allow_inf_nan=False
    )


class Interval(Record):
    """Two bounds. In a report they are two-sided at 95 %; a function says its own confidence."""

    low: float
    high: float


def _ordered(quantiles: tuple[float, ...]) -> tuple[float, ...]:
    if len(quantiles) != len(PROBABILITIES) or list(quantiles) != sorted(quantiles):
        raise ValueError(f"quantiles have to be {len(PROBABILITIES)} figures in rising order")
    return quantiles


class Estimate(Record):
    """A figure with the bounds that resampling gives it, at several levels of confidence."""

    value: float
    quantiles: Annotated[tuple[float, ...], AfterValidator(_ordered)]
    """Bounds at ``PROBABILITIES``: each holds one-sided with that probability."""

    def bounds(self, confidence: float) -> Interval:
        """Bounds of which each holds one-sided with ``confidence`` or a little more.

        Raises UsageError beyond the levels that are kept.
        """
        tail = 1 - confidence + _ROUNDING
        kept = [n for n, p in enumerate(PROBABILITIES) if p <= tail and p < 0.5]  # noqa: PLR2004
        if not kept:
            most = 1 - PROBABILITIES[0]
            raise UsageError(f"this figure is known up to a confidence of {most}, not {confidence}")
        return Interval(low=self.quantiles[kept[-1]], high=self.quantiles[-1 - kept[-1]])


def packed(values: Sequence[int] | Ints) -> str:
    """Integers as text that fits into JSON: zlib over little-endian int32, in base64."""
    return base64.b64encode(zlib.compress(np.asarray(values, _INT32).tobytes(), 9)).decode()


def unpacked(text: str, count: int) -> Ints:
    """The ``count`` integers in ``text``, int64 [count]; ValueError when it holds others.

    Never more memory than ``count`` needs, whatever the text claims, and none for a ``count`` that
    a text of this length cannot hold.
    """
    wanted = count * _INT32.itemsize
    try:
        held = base64.b64decode(text, validate=True)
        _require_room(len(held), count)
        stream = zlib.decompressobj()
        raw = stream.decompress(held, wanted + 1)
    except (zlib.error, binascii.Error, ValueError) as error:
        raise ValueError(f"packed figures are damaged: {error}") from error
    if len(raw) != wanted or not stream.eof:
        raise ValueError(f"packed figures are not {count}")
    return np.frombuffer(raw, _INT32).astype(np.int64)


def _require_room(held: int, count: int) -> None:
    if not 0 <= count * _INT32.itemsize <= _EXPANDS * held:
        raise ValueError(f"{held} bytes cannot hold {count} figures")


class ReportBase(Record):
    """What a measuring stage leaves in ``report.json``."""

    schema_version: Literal[2] = Field(default=SCHEMA, alias="schema")

    def write(self, path: Path) -> None:
        """``path`` holds this report as JSON, durably."""
        disk.write_json(path, self.model_dump(mode="json", by_alias=True))

    @classmethod
    def read(cls, path: Path) -> Self:
        """The report at ``path``; BundleError when it is unreadable, damaged or of another kind."""
        return validated(cls, loaded(path), path)


class _Named(Protocol):
    @property
    def name(self) -> str: ...


A = TypeVar("A", bound=_Named)
R = TypeVar("R", bound=ReportBase)


def arm_of(arms: Iterable[A], name: str) -> A:
    """The one of that name; ValueError without one."""
    for arm in arms:
        if arm.name == name:
            return arm
    raise ValueError(f"there is no {name!r}")


def loaded(path: Path) -> dict[str, object]:
    """The JSON object at ``path``; BundleError unless it is one of this schema."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
        raise BundleError(f"{path} is no readable report: {error}") from error
    if not isinstance(found, dict):
        raise BundleError(f"{path} is damaged: not a JSON object")
    if found.get("schema") != SCHEMA:
        known = f"this edgepipe reads schema {SCHEMA}"
        raise BundleError(f"{path} has schema {found.get('schema')!r}; {known}")
    return found


def validated(kind: type[R], found: dict[str, object], path: Path) -> R:
    """``found`` as a report of ``kind``; BundleError naming what is wrong with it."""
    try:
        return kind.model_validate_json(json.dumps(found))
    except (ValueError, ArithmeticError, LookupError, RecursionError) as error:
        raise BundleError(f"{path} is damaged: {error}") from error

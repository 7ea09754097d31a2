"""Model inputs in the shapes and paddings at which an export is compared with torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Feed:
    """One batch: ``inputs`` int64 ``[batch, sequence]``; ``name`` says shape and padding."""

    name: str
    inputs: dict[str, Ids]

    @property
    def padded(self) -> bool:
        """Whether the mask hides anything."""
        return not self.inputs["attention_mask"].all()

    def unmasked(self) -> Feed:
        """The same tokens with nothing hidden."""
        ones = np.ones_like(self.inputs["attention_mask"])
        return Feed(f"{self.name}, mask of ones", {**self.inputs, "attention_mask": ones})


def feeds(rows: Sequence[Ids], names: Sequence[str], *, pad: int, max_length: int) -> list[Feed]:
    """Batches of 1, 3 and 5 rows: one token, whole texts, the full ``max_length``.

    Batches are given unpadded (cut to the shortest row), padded on the right and padded on the
    left. ``rows`` are the token ids of real texts; few or short ones are repeated.
    """
    longest = max(rows, key=len)
    full = np.resize(longest, max_length)
    three = [_cut(row, 3, place) for place, row in enumerate(_cycle(rows, 3, max_length))]
    five = [_cut(row, 5, place) for place, row in enumerate(_cycle(rows, 5, max_length))]
    return [
        _feed("one token", [longest[:1]], names, pad, "right"),
        single(rows[0], names),
        _feed("full length", [full], names, pad, "right"),
        _feed("unpadded", [row[: min(map(len, three))] for row in three], names, pad, "right"),
        _feed("padded right", three, names, pad, "right"),
        _feed("padded left", three, names, pad, "left"),
        _feed("padded right", five, names, pad, "right"),
        _feed("padded left", five, names, pad, "left"),
    ]


def single(row: Ids, names: Sequence[str]) -> Feed:
    """One text at its exact length, nothing hidden."""
    return _feed("one text", [row], names, 0, "right")


def _cycle(rows: Sequence[Ids], count: int, max_length: int) -> list[Ids]:
    """``count`` rows, none shorter than the number of rows, so that each can get its own length."""
    least = min(2 * count, max_length)
    chosen = [rows[place % len(rows)] for place in range(count)]
    return [row if len(row) >= least else np.resize(row, least) for row in chosen]


def _cut(row: Ids, count: int, place: int) -> Ids:
    """A row of its own length: the first stays whole, the last keeps a part of ``count``."""
    return row[: max(1, len(row) * (count - place) // count)]


def _feed(what: str, rows: Sequence[Ids], names: Sequence[str], pad: int, side: str) -> Feed:
    longest = max(map(len, rows))
    ids = np.full((len(rows), longest), pad, np.int64)
    mask = np.zeros_like(ids)
    for place, row in enumerate(rows):
        part = slice(0, len(row)) if side == "right" else slice(longest - len(row), longest)
        ids[place, part], mask[place, part] = row, 1
    given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    shape = f"{len(rows)}x{longest}"
    return Feed(f"{shape} {what}", {name: given[name] for name in names})

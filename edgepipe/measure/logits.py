"""Logits of a whole split on disk, so that memory does not grow with texts times labels."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgepipe import disk
from edgepipe.errors import StageError

Logits = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Predict = Callable[[Sequence[str]], Logits]
"""Texts to logits, float32 [texts, labels]."""
CHUNK = 1024
"""Texts in memory at a time."""


def answer(predict: Predict, texts: Sequence[str], *, labels: int, name: str) -> Logits:
    """What ``predict`` says to ``texts``, float32 [texts, labels].

    Raises StageError, naming the arm, when the logits have another shape or are not finite.
    """
    logits = predict(texts)
    if logits.shape != (len(texts), labels):
        raise StageError(
            f"{name} answered {len(texts)} texts with logits of shape {logits.shape}, "
            f"not {(len(texts), labels)}"
        )
    bad = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if bad.size:
        raise StageError(
            f"{name} answers {bad.size} of {len(texts)} texts with logits that are not finite, "
            f"the first one {texts[bad[0]]!r}: the model is broken; look at the step that made it"
        )
    return np.asarray(logits, np.float32)


def write(path: Path, parts: Iterable[Logits], *, rows: int, labels: int) -> None:
    """``path`` is a .npy file of float32 [rows, labels], written a part at a time."""
    header = io.BytesIO()
    form = {"descr": "<f4", "fortran_order": False, "shape": (rows, labels)}
    np.lib.format.write_array_header_1_0(header, form)

    def content() -> Iterator[bytes]:
        yield header.getvalue()
        for part in parts:
            yield np.ascontiguousarray(part, "<f4").tobytes()

    disk.write_bytes(path, content())


def read(path: Path) -> Iterator[Floats]:
    """The logits at ``path``, float64 [up to ``CHUNK``, labels] at a time, mapped from the disk."""
    mapped = np.load(path, mmap_mode="r")
    for start in range(0, len(mapped), CHUNK):
        yield np.asarray(mapped[start : start + CHUNK], np.float64)


def log_probabilities(logits: Floats) -> Floats:
    """The logarithm of the softmax over the last axis, float64; finite for finite logits."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)), np.float64)


def differences(reference: Path, candidate: Path) -> tuple[Floats, float]:
    """How far the candidate's answers lie from the reference's.

    The Kullback-Leibler divergence ``sum p_reference ln(p_reference / p_candidate)`` of every text,
    in nats, float64 [texts]; and the largest difference of any two logits.
    """
    found, largest = [], 0.0
    for old, new in zip(read(reference), read(candidate), strict=True):
        wanted, given = log_probabilities(old), log_probabilities(new)
        divergence = (np.exp(wanted) * (wanted - given)).sum(axis=1)
        found.append(np.maximum(divergence, 0.0))  # rounding may go below, the divergence cannot
        largest = max(largest, float(np.abs(old - new).max()))
    return np.concatenate(found), largest

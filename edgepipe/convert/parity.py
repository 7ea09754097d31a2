"""Proof that an exported graph computes what torch computes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgepipe.convert.feeds import Feed
from edgepipe.errors import StageError
from edgepipe.graph import session
from edgepipe.graph.session import Level

Logits = NDArray[np.float32]
Answer = Callable[[Feed], Logits]
TOLERANCE = 1e-4
"""Largest error as a share of the largest logit. float32 keeps 1e-7; a dozen layers that sum in
another order stay below 1e-5 in nine families tried; a wrong mask or weight moves 1e-2 and more."""
_LEVELS: tuple[Level, ...] = ("disable", "all")
_NOISE = 1e-6
_MARGIN = 10.0


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How close an exported graph came to torch."""

    checks: int
    """Feeds times onnxruntime optimization levels."""
    worst: float
    """Largest absolute error of a logit."""
    where: str
    """Feed and level of the worst."""
    scale: float
    """Largest absolute logit of torch."""
    mask_effect: float
    """Largest change of an ONNX logit when padding is not hidden."""

    def notes(self) -> dict[str, Any]:
        """For the report, three digits a figure."""
        return {
            name: float(f"{value:.3g}") if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


def prove(path: Path, model: Any, feeds: Sequence[Feed], *, tolerance: float = TOLERANCE) -> Parity:
    """``path`` agrees with ``model`` on every feed, with onnxruntime's optimizations off and on.

    Three things are asked, each a StageError with its worst figure and place: every logit is
    within ``tolerance`` times the largest logit; hiding the padding changes the answers of both
    alike; and that change is well above the error, so that a graph without a mask cannot pass.
    """
    expected = [(feed, torch_logits(model, feed)) for feed in _with_unmasked(feeds)]
    scale = max(float(np.abs(logits).max()) for _, logits in expected)
    if not np.isfinite(scale) or scale == 0:
        raise StageError(f"torch answers with logits of size {scale}: nothing can be compared")
    worst, where = 0.0, ""
    for level in _LEVELS:
        opened = session.open_session(path, level)
        for feed, logits in expected:
            error = _error(session.logits(opened, feed.inputs), logits)
            if not error <= worst:  # NaN is worse than anything
                worst, where = error, f"{feed.name}, optimizations {level}"
    if not worst <= tolerance * scale:
        raise StageError(
            f"the exported graph differs from torch by {worst:.3g} where the largest logit is "
            f"{scale:.3g} ({where}); allowed is {tolerance:g} of it"
        )
    effect = _mask_effects(path, model, feeds, worst, scale)
    checks = len(expected) * len(_LEVELS)
    return Parity(checks=checks, worst=worst, where=where, scale=scale, mask_effect=effect)


def torch_logits(model: Any, feed: Feed) -> Logits:
    """What torch answers for a feed, float32 ``[batch, labels]``.

    Computed on one thread: with more, torch sums in another order and the last digits change.
    """
    with _one_thread(), torch.inference_mode():
        given = {name: torch.from_numpy(value) for name, value in feed.inputs.items()}
        logits: Logits = model(**given).logits.float().numpy()
    return logits


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _with_unmasked(feeds: Sequence[Feed]) -> list[Feed]:
    return [*feeds, *(feed.unmasked() for feed in feeds if feed.padded)]


def _error(found: Logits, expected: Logits) -> float:
    if found.shape != expected.shape:
        raise StageError(
            f"the exported graph gives {found.shape} where torch gives {expected.shape}"
        )
    return float(np.abs(found - expected).max())


def _mask_effects(
    path: Path, model: Any, feeds: Sequence[Feed], worst: float, scale: float
) -> float:
    """The change that hiding the padding makes in ONNX; StageError when it proves nothing."""
    padded = [feed for feed in feeds if feed.padded]
    if not padded:
        raise StageError("parity needs a padded batch to see whether the mask is kept")
    opened = session.open_session(path)
    ours = _effect(lambda feed: session.logits(opened, feed.inputs), padded)
    theirs = _effect(lambda feed: torch_logits(model, feed), padded)
    if theirs <= _NOISE * scale:
        raise StageError(
            f"hiding the padding changes torch's own logits by only {theirs:.3g} of {scale:.3g}: "
            "no test can tell whether the export keeps the mask"
        )
    if worst * _MARGIN > theirs or ours * 2 < theirs:
        raise StageError(
            f"hiding the padding changes torch's logits by {theirs:.3g} and the exported graph's "
            f"by {ours:.3g}, and the two differ by {worst:.3g}: the mask is not kept"
        )
    return ours


def _effect(answer: Answer, padded: Sequence[Feed]) -> float:
    return max(float(np.abs(answer(feed) - answer(feed.unmasked())).max()) for feed in padded)

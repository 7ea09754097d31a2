"""How one gate ended, in words and figures that a report keeps."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict

from edgepipe.errors import ExitCode
from edgepipe.pipeline.gate import Tier

Word = Literal["pass", "fail", "inconclusive"]
Unit = Literal[
    "share", "ratio", "ms", "bytes", "flops", "per second", "nats", "logits", "correlation", "rules"
]
"""``share`` is of 1 and shown in percent; ``rules`` counts broken rules."""


class Outcome(enum.Enum):
    """How a gate ended."""

    PASS = "pass"  # noqa: S105 - no password
    """The bound clears the limit."""
    FAIL = "fail"
    """The other bound violates the limit."""
    INCONCLUSIVE = "inconclusive"
    """The limit lies between the bounds, or the measurement doubts itself."""


class Verdict(BaseModel):
    """One gate, judged. ``value`` with one-sided bounds ``low`` and ``high`` at its confidence."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    measure: str
    tier: Tier
    of: str
    against: str
    part: str = ""
    """What tells two gates of one measure and model apart: ``p99``, ``by length``, ``in the file``.
    """
    outcome: Word
    unit: Unit
    value: float | None
    """None where there is no figure: a baseline that is missing, a percentile of too few calls."""
    low: float | None
    """None is unbounded."""
    high: float | None
    limit: float
    limit_is: Literal["at most", "at least"]
    confidence: float | None = None
    """None: exact."""
    why: str = ""
    """For an inconclusive or a failed gate: the reason where the figures alone do not say it, and
    what would mend it."""
    note: str = ""
    """Information, never part of the verdict: the power of the test, McNemar's p."""
    details: tuple[str, ...] = ()
    """A line for each part of a gate that has parts: slices, operators."""


def exit_code(verdicts: Iterable[Verdict]) -> ExitCode:
    """Failed if any gate failed, else inconclusive if any was, else fine."""
    outcomes = {verdict.outcome for verdict in verdicts}
    if "fail" in outcomes:
        return ExitCode.GATE_FAILED
    return ExitCode.INCONCLUSIVE if "inconclusive" in outcomes else ExitCode.OK

"""Verdicts and figures in words: the same ones wherever a person reads them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgepipe.pipeline.gate import Tier
    from edgepipe.pipeline.report import RunReport
    from edgepipe.pipeline.verdict import Unit, Verdict, Word

MEASURES: dict[str, str] = {
    "accuracy": "accuracy drop",
    "macro_f1": "macro F1 drop",
    "slices": "largest accuracy drop of a slice",
    "agreement": "same answers",
    "divergence": "divergence of the probabilities",
    "calibration": "calibration error gained",
    "explanation": "agreement of the explanations",
    "tolerance": "largest difference of a logit",
    "size": "size of the files",
    "weights": "size of the weights",
    "activations": "memory of the activations",
    "memory": "memory of a fresh process",
    "flops": "operations for one text",
    "operators": "operators",
    "latency": "speed-up of single texts",
    "throughput": "throughput in batches",
    "percentile": "slow end of the latency",
    "rate": "highest rate that holds",
}
"""What each measure is called."""
TIERS: dict[Tier, str] = {
    "counts": "Counts: exact, but for the memory of a process",
    "accuracy": "Accuracy: with the error of sampling texts",
    "clocks": "Clocks: with the machine's noise, too",
}
"""In the order in which they are worth reading."""
OUTCOMES: dict[Word, str] = {"pass": "pass", "fail": "FAIL", "inconclusive": "INCONCLUSIVE"}
POINTS = frozenset({"accuracy", "macro_f1", "slices", "calibration"})
"""Measures whose share is a difference of two shares: points, not percent."""
NONE = "none"
_BEHIND: dict[Unit, str] = {
    "ratio": "x",
    "ms": " ms",
    "nats": " nats",
    "per second": " per second",
    "logits": "",
    "correlation": "",
}
_SCALES: dict[Unit, tuple[str, ...]] = {
    "bytes": ("bytes", "kB", "MB", "GB", "TB"),
    "flops": ("FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP"),
}
_PRECISE = 3
"""Significant digits."""
_KILO = 1000
_TINY = -4
"""The exponent below which figures are written with one."""
_MOST_DIGITS = 6
_SMALLEST = 1e-12
"""Below this a figure is nothing but rounding."""


def figure(value: float | None, unit: Unit, *, extra: int = 0) -> str:
    """``value`` with its unit, to three significant digits; ``none`` where there is none.

    A share is shown in percent with two decimals. ``extra`` digits tell apart what would otherwise
    look alike.
    """
    if value is None:
        return NONE
    if unit == "share":
        return f"{_percent(value, extra)}%"
    if unit == "rules":
        return f"{value:.0f} broken {'rule' if value == 1 else 'rules'}"
    if unit in _SCALES:
        return _scaled(value, _SCALES[unit], extra)
    return f"{_digits(value, extra)}{_BEHIND[unit]}"


def points(value: float | None, *, extra: int = 0) -> str:
    """A difference of two shares, two decimals of it: 0.015 is ``1.50 points``."""
    return NONE if value is None else f"{_fixed(100 * value, 2 + extra)} points"


def span(low: str, high: str) -> str:
    """Two figures in words, a unit that they share told once: ``-0.58 to 0.58 points``."""
    number, _, unit = low.partition(" ")
    return f"{number if unit and high.endswith(f' {unit}') else low} to {high}"


def shown(verdict: Verdict, value: float | None, *, extra: int = 0) -> str:
    """``value``, a figure of ``verdict``, as its measure wants it: drops in points."""
    if verdict.measure in POINTS and verdict.unit == "share":
        return points(value, extra=extra)
    return figure(value, verdict.unit, extra=extra)


def measure(name: str) -> str:
    """What a measure is called; one that is unknown here by its own name."""
    return MEASURES.get(name, name)


def title(verdict: Verdict) -> str:
    """The gate without its outcome: what of which model against which, and the limit.

    The same in every run, so that histories can go by it.
    """
    part = f" ({verdict.part})" if verdict.part else ""
    return one_line(f"{_subject(verdict)}: {measure(verdict.measure)}{part}, {limit(verdict)}")


def sentence(verdict: Verdict) -> str:
    """One gate in one line: what was asked, what was found, how sure that is, and why."""
    return f"{verdict.outcome.upper():12} {told(verdict)}"


def told(verdict: Verdict) -> str:
    """``sentence`` without the outcome."""
    why = f": {verdict.why}" if verdict.why else ""
    note = f" [{verdict.note}]" if verdict.note else ""
    asked = shown(verdict, verdict.limit, extra=max(_exact(verdict), _apart(verdict)))
    part = f" ({verdict.part})" if verdict.part else ""
    return one_line(
        f"{_subject(verdict)}: {measure(verdict.measure)}{part} {found(verdict)}; "
        f"{verdict.limit_is} {asked} asked{why}{note}"
    )


def found(verdict: Verdict) -> str:
    """The figure with its one-sided bounds and their confidence."""
    extra = _apart(verdict)
    value, low, high = (
        shown(verdict, figure, extra=extra) for figure in (verdict.value, verdict.low, verdict.high)
    )
    if verdict.confidence is None or (verdict.low is None and verdict.high is None):
        return value
    sure = f"{100 * verdict.confidence:.4g}%"
    if verdict.low is None:
        return f"{value} (at {sure} no more than {high})"
    if verdict.high is None:
        return f"{value} (at {sure} no less than {low})"
    return f"{value} (one-sided bounds at {sure}: {span(low, high)})"


def limit(verdict: Verdict) -> str:
    """``at most 1.50 points``: the limit as the gate has it."""
    return f"{verdict.limit_is} {shown(verdict, verdict.limit, extra=_exact(verdict))}"


def headline(report: RunReport) -> str:
    """The verdict of a whole report in a few words: ``FAIL: 1 of 5 gates failed, 1 undecided``."""
    outcomes = [verdict.outcome for verdict in report.verdicts]
    match report.verdict:
        case "no gates":
            return "NO GATES: nothing was asked of these models"
        case "not judged":
            return "NOT JUDGED"
        case "pass":
            return f"PASS: {_gates(len(outcomes))} passed"
        case "inconclusive":
            undecided = outcomes.count("inconclusive")
            return f"INCONCLUSIVE: {undecided} of {_gates(len(outcomes))} cannot be decided"
        case "fail":
            undecided = outcomes.count("inconclusive")
            more = f", {undecided} inconclusive" if undecided else ""
            return f"FAIL: {outcomes.count('fail')} of {_gates(len(outcomes))} failed{more}"


def one_line(text: str) -> str:
    """``text`` without line breaks and with single spaces."""
    return " ".join(text.split())


def _gates(number: int) -> str:
    return "1 gate" if number == 1 else f"{number} gates"


def _subject(verdict: Verdict) -> str:
    if not verdict.against:
        return verdict.of
    against = "the baseline" if verdict.against == "baseline" else verdict.against
    return f"{verdict.of} against {against}"


def _exact(verdict: Verdict) -> int:
    """How many digits more it takes to show the limit as it is; none if it has no end."""
    texts = [shown(verdict, verdict.limit, extra=extra) for extra in range(_MOST_DIGITS + 1)]
    numbers = [float(text.split()[0].rstrip("%x")) for text in texts]
    enough = next(n for n, number in enumerate(numbers) if number == numbers[-1])
    return enough if enough < _MOST_DIGITS else 0


def _apart(verdict: Verdict) -> int:
    """How many digits more it takes until no figure looks like a limit that it is not."""
    figures = [f for f in (verdict.value, verdict.low, verdict.high) if f is not None]
    others = [f for f in figures if not math.isclose(f, verdict.limit, abs_tol=_SMALLEST)]
    for extra in range(_MOST_DIGITS):
        asked = shown(verdict, verdict.limit, extra=extra)
        if asked not in [shown(verdict, f, extra=extra) for f in others]:
            return extra
    return _MOST_DIGITS


def _percent(value: float, extra: int) -> str:
    """Two decimals; of a share below 0.01 % two digits."""
    percent = 100 * value
    decimals = 2 + extra
    if _SMALLEST < abs(percent) < 0.01:  # noqa: PLR2004 - what two decimals show as nothing
        decimals = max(decimals, 1 - math.floor(math.log10(abs(percent))))
    return _fixed(percent, decimals)


def _digits(value: float, extra: int) -> str:
    """Three significant digits and whole numbers whole; an exponent below 0.0001."""
    if abs(value) < _SMALLEST:
        return "0"
    scientific = f"{value:.{_PRECISE + extra - 1}e}"
    exponent = int(scientific.partition("e")[2])
    if exponent < _TINY:
        return scientific
    return _fixed(value, max(0, _PRECISE + extra - 1 - exponent))


def _scaled(value: float, units: Sequence[str], extra: int) -> str:
    """With the largest unit that leaves a figure of at least one."""
    if abs(value) < _KILO:
        return f"{_fixed(value, 0)} {units[0]}"
    for unit in units[1:]:
        value /= _KILO
        if abs(value) < _KILO:
            return f"{_digits(value, extra)} {unit}"
    return f"{_digits(value, extra)} {units[-1]}"


def _fixed(value: float, decimals: int) -> str:
    """Without a minus before nothing but zeros."""
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if not text.strip("-0.") else text

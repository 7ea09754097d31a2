"""The page's head: the verdict, and each gate with its bounds drawn against its limit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from edgepipe.pipeline.gate import BASELINE
from edgepipe.pipeline.report import RunReport
from edgepipe.pipeline.verdict import Verdict
from edgepipe.present import words
from edgepipe.present.page_parts import plural, tick, validations
from edgepipe.present.plots_rows import Bounded, bounds

_DETAILS = 60
"""Lines shown of a gate's parts."""
_COMPARED = "Compared, not judged: no policy was given."


@dataclass(frozen=True, kw_only=True)
class GateView:
    """One gate as it is shown."""

    outcome: str
    subject: str
    against: str
    measure: str
    found: str
    limit: str
    why: str
    note: str
    details: tuple[str, ...]
    more: int
    """Details that are left out."""
    plot: Markup | None


@dataclass(frozen=True, kw_only=True)
class TierView:
    """Gates that are equally sure."""

    title: str
    gates: tuple[GateView, ...]


@dataclass(frozen=True, kw_only=True)
class VerdictView:
    """The verdict of the whole report."""

    word: str
    slug: str
    """``word`` as a class of the style sheet, whose ``gates`` are another thing."""
    sentence: str
    tiers: tuple[TierView, ...]
    power: tuple[str, ...]
    """What this test could have seen: information."""


def verdict_view(report: RunReport, *, judged: bool = True) -> VerdictView:
    """The verdict in one word, the sentence why, and the gates by tier.

    Of a report that is not ``judged`` here but compared: neither, whatever verdicts it holds.
    """
    word = report.verdict if judged else "compared"
    return VerdictView(
        word=word,
        slug=word.replace(" ", "-"),
        sentence=_sentence(report) if judged else _COMPARED,
        tiers=tuple(_tiers(report)) if judged else (),
        power=tuple(_power(report)),
    )


def _sentence(report: RunReport) -> str:
    """Why the verdict is what it is: of the gates that decided it the first by name."""
    if report.verdict == "no gates":
        none = "the pipeline file has no gates" if report.pipeline else "no policy was given"
        return f"Nothing was asked of these models: {none}."
    if report.verdict == "not judged":
        return "The gates of this report are not judged yet."
    total = len(report.verdicts)
    if report.verdict == "pass":
        return "The only gate is met." if total == 1 else f"{total} of {total} gates are met."
    met = [v for v in report.verdicts if v.outcome == report.verdict]
    first = words.title(met[0])
    why = f". {met[0].why}" if met[0].why else ""
    if report.verdict == "fail":
        said = f"{len(met)} of {plural(total, 'gate')} failed"
    else:
        said = f"{len(met)} of {plural(total, 'gate')} could not be decided"
    rest = f", and {len(met) - 1} more" if len(met) > 1 else ""
    return f"{said}: {first}{rest}{why}"


def _tiers(report: RunReport) -> Iterator[TierView]:
    for tier, title in words.TIERS.items():
        found = tuple(_gate(v) for v in report.verdicts if v.tier == tier)
        if found:
            yield TierView(title=title, gates=found)


def _gate(verdict: Verdict) -> GateView:
    return GateView(
        outcome=verdict.outcome,
        subject=verdict.of,
        against="the baseline" if verdict.against == BASELINE else verdict.against,
        measure=words.measure(verdict.measure) + (f" ({verdict.part})" if verdict.part else ""),
        found=_found(verdict),
        limit="" if verdict.unit == "rules" else words.limit(verdict),
        why=verdict.why,
        note=verdict.note,
        details=verdict.details[:_DETAILS],
        more=max(len(verdict.details) - _DETAILS, 0),
        plot=_plot(verdict),
    )


def _found(verdict: Verdict) -> str:
    if verdict.value is None:
        return "no figure"
    if verdict.unit == "rules" and not verdict.value:
        return "every rule is kept"
    return words.found(verdict)


def _plot(verdict: Verdict) -> Markup | None:
    """None where there is no figure to draw, and for broken rules."""
    if verdict.value is None or verdict.unit == "rules":
        return None
    return bounds(
        Bounded(
            value=verdict.value,
            low=verdict.low,
            high=verdict.high,
            limit=verdict.limit,
            limit_is=verdict.limit_is,
            exact=verdict.confidence is None,
            outcome=verdict.outcome,
        ),
        title=words.title(verdict),
        description=f"{words.found(verdict)}; {words.limit(verdict)} asked: {verdict.outcome}",
        show=tick(verdict.unit),
        limit=words.limit(verdict),
    )


def _power(report: RunReport) -> Iterator[str]:
    for measured in validations(report).values():
        for found in measured.comparisons:
            yield (
                f"{found.candidate}: with {plural(found.examples, 'text')} and {found.flipped:,} "
                f"different answers a drop of {words.points(found.detectable)} would have shown "
                f"9 times in 10 (at 95%)."
            )

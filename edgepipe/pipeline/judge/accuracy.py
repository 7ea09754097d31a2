"""Gates on answers: tests of non-inferiority on the same texts."""

from __future__ import annotations

from edgepipe.errors import UsageError
from edgepipe.measure.paired import Counts, counts, macro_f1_drop
from edgepipe.measure.records import Comparison, Estimate, ValidationReport, unpacked
from edgepipe.measure.statistics import (
    detectable_drop,
    drop_bounds,
    mcnemar,
    needed_examples,
    wilson,
)
from edgepipe.pipeline.gate import (
    BASELINE,
    AccuracyGate,
    AgreementGate,
    CalibrationGate,
    DivergenceGate,
    ExplanationGate,
    Gate,
    MacroF1Gate,
    SlicesGate,
)
from edgepipe.pipeline.judge import slices
from edgepipe.pipeline.judge.finding import Finding
from edgepipe.pipeline.judge.pair import NO_TEXTS, Pair, pair_of
from edgepipe.pipeline.judge.scene import Scene, against_of, require_same, title

LEAST = 20
"""Texts that a bootstrap needs: from fewer it says more than it knows."""
_LEAST_FOR_DIVERGENCE = 100
"""Its few large values make a skewed mean, of which 20 texts may hold none."""


def find(gate: Gate, scene: Scene) -> Finding:
    """The figure of any gate of this tier."""
    match gate:
        case AccuracyGate():
            return _accuracy(gate, pair_of(gate, scene))
        case MacroF1Gate():
            return _macro_f1(gate, scene)
        case SlicesGate():
            return slices.find(gate, pair_of(gate, scene))
        case AgreementGate():
            return _agreement(gate, scene)
        case DivergenceGate() | CalibrationGate() | ExplanationGate():
            return _stored(gate, scene)
        case _:
            raise TypeError(f"{gate.measure} is of another tier")


def _accuracy(gate: AccuracyGate, pair: Pair) -> Finding:
    found = counts(pair.truth, pair.old, pair.new)
    b, c, n, _ = found
    bounds = drop_bounds(b, c, n, confidence=gate.confidence)
    return Finding(
        value=found.drop,
        low=bounds.low,
        high=bounds.high,
        doubt="" if n else NO_TEXTS,
        mend=_mend(found, gate),
        note=_power(found, gate),
    )


def _mend(found: Counts, gate: AccuracyGate) -> str:
    if gate.max_drop == 0:
        return "no number of texts proves that nothing is lost; allow a margin"
    needed = _needed(found, gate)
    if found.drop > gate.max_drop / 2:
        return f"the drop seen is too near to the margin for {found.examples} texts"
    return f"{found.examples} texts are too few; about {needed} would decide"


def _needed(found: Counts, gate: AccuracyGate) -> int:
    rate = found.flips / max(1, found.examples)
    return needed_examples(rate, gate.max_drop, confidence=gate.confidence)


def _power(found: Counts, gate: AccuracyGate) -> str:
    """What this test set can see, and McNemar's test, which decides nothing."""
    b, c, n, _ = found
    seen = detectable_drop(found.flips, n, confidence=gate.confidence)
    parts = [f"{n} texts, {b} lost and {c} gained"]
    if gate.max_drop:
        parts.append(f"about {_needed(found, gate)} decide 9 times in 10 if nothing is lost")
    parts.append(f"a drop of {100 * seen:.2g} points would have shown 9 times in 10")
    parts.append(f"McNemar's p = {mcnemar(b, c):.2g}")
    return "; ".join(parts)


def _macro_f1(gate: MacroF1Gate, scene: Scene) -> Finding:
    if gate.against != BASELINE:
        comparison = _comparison(gate, scene)
        return _bounded(comparison.macro_f1_drop, gate, comparison.examples)
    pair = pair_of(gate, scene)
    if not len(pair.truth):
        return Finding(value=None, low=None, high=None, doubt=NO_TEXTS)
    drop = macro_f1_drop(
        pair.truth,
        pair.old,
        pair.new,
        len(pair.report.labels),
        resamples=pair.report.resamples,
        seed=pair.report.seed,
    )
    return _bounded(drop, gate, len(pair.truth))


def _bounded(
    estimate: Estimate,
    gate: MacroF1Gate | DivergenceGate | CalibrationGate | ExplanationGate,
    texts: int,
    least: int = LEAST,
) -> Finding:
    bounds = estimate.bounds(gate.confidence)
    few = f"{texts} texts are too few for a bootstrap, which needs {least}"
    return Finding(
        value=estimate.value,
        low=bounds.low,
        high=bounds.high,
        doubt=few if texts < least else "",
        mend=f"the limit lies between the bounds; more than {texts} texts bring them together",
        note=f"{texts} texts",
    )


def _stored(gate: DivergenceGate | CalibrationGate | ExplanationGate, scene: Scene) -> Finding:
    comparison = _comparison(gate, scene)
    match gate:
        case DivergenceGate():
            return _bounded(comparison.divergence, gate, comparison.examples, _LEAST_FOR_DIVERGENCE)
        case CalibrationGate():
            return _bounded(comparison.calibration_increase, gate, comparison.examples)
        case ExplanationGate():
            found = comparison.explanation
            if found is None:
                raise UsageError(
                    f"{title(gate)}: nothing was explained; give the validate step `explain`, the "
                    "number of texts to explain"
                )
            return _bounded(found.rank_agreement, gate, found.texts)


def _comparison(gate: Gate, scene: Scene) -> Comparison:
    if against_of(gate) == BASELINE:
        raise UsageError(
            f"{title(gate)}: an earlier report holds answers and not probabilities; judge it "
            "against the reference of the step"
        )
    report = scene.report(gate, ValidationReport).report
    return next(c for c in report.comparisons if c.candidate == gate.of)


def _agreement(gate: AgreementGate, scene: Scene) -> Finding:
    alike, texts = (_unlabelled if gate.on == "unlabelled" else _labelled)(gate, scene)
    bounds = wilson(alike, texts, confidence=gate.confidence)
    return Finding(
        value=alike / texts if texts else None,
        low=bounds.low,
        high=bounds.high,
        doubt="" if texts else NO_TEXTS,
        mend=f"the limit lies between the bounds; more than {texts} texts bring them together",
        note=f"{texts} {gate.on} texts, {texts - alike} answered differently",
    )


def _labelled(gate: AgreementGate, scene: Scene) -> tuple[int, int]:
    pair = pair_of(gate, scene)
    return int((pair.old == pair.new).sum()), len(pair.truth)


def _unlabelled(gate: AgreementGate, scene: Scene) -> tuple[int, int]:
    now = scene.report(gate, ValidationReport)
    report = now.report
    if not report.unlabelled:
        raise UsageError(
            f"{title(gate)}: there are no unlabelled texts; wire a `texts` step to the "
            "port `unlabelled` of the validate step"
        )
    old = report.reference
    if gate.against == BASELINE:
        then = scene.earlier(gate, now, same_machine=False)
        digests = (report.unlabelled_sha256[:12], then.unlabelled_sha256[:12])
        labels = (", ".join(report.labels), ", ".join(then.labels))
        require_same(
            gate, {"set of unlabelled texts, by its SHA-256": digests, "list of labels": labels}
        )
        old = then.arm(gate.of)
    columns = (
        unpacked(arm.unlabelled_answers, report.unlabelled) for arm in (old, report.arm(gate.of))
    )
    first, second = columns
    return int((first == second).sum()), report.unlabelled

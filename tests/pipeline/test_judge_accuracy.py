from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, stats
from sklearn.metrics import f1_score

from edgepipe.errors import UsageError
from edgepipe.measure.records import Explanation, ValidationReport, packed
from edgepipe.pipeline.gate import (
    AccuracyGate,
    AgreementGate,
    CalibrationGate,
    DivergenceGate,
    ExplanationGate,
    MacroF1Gate,
    SlicesGate,
)
from tests.pipeline.judging import ON, SINCE, one, since
from tests.pipeline.measured import columns, estimate, validation


def accuracy_gate(max_drop: float, confidence: float = 0.95, **on: str) -> AccuracyGate:
    return AccuracyGate(measure="accuracy", max_drop=max_drop, confidence=confidence, **(on or ON))


def agreement_gate(least: float, **more: str) -> AgreementGate:
    return AgreementGate(measure="agreement", min_agreement=least, **{**ON, **more})


def slices_gate(max_drop: float, by: str = "length") -> SlicesGate:
    return SlicesGate(measure="slices", max_drop=max_drop, by=by, **ON)


def drop_bound(b: int, c: int, n: int, confidence: float, half: float = 0.0) -> float:
    """Upper bound of a paired drop: the score test, its likeliest q found by search.

    ``half``: a text, for continuity.
    """

    def score(drop: float) -> float:
        low, high = max(0.0, -drop), (1 - drop) / 2

        def unlikely(q: float) -> float:
            parts = ((b, q + drop), (c, q), (n - b - c, 1 - 2 * q - drop))
            return -sum(count * math.log(max(share, 1e-300)) for count, share in parts)

        best = optimize.minimize_scalar(
            unlikely, bounds=(low, high), method="bounded", options={"xatol": 1e-12}
        )
        variance = n * (2 * best.x + drop * (1 - drop))
        return (b - c + half - n * drop) / math.sqrt(variance) + stats.norm.ppf(confidence)

    return optimize.brentq(score, (b - c) / n + 1e-9, 0.5)


@pytest.mark.parametrize(("b", "c"), [(60, 50), (40, 42), (8, 1), (100, 100)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_an_accuracy_gate_passes_within_its_bound_and_fails_beyond_the_other(
    b: int, c: int, confidence: float
) -> None:
    report = validation(b, c, 2000)
    high = drop_bound(b, c, 2000, confidence)
    low = -drop_bound(c, b, 2000, confidence)
    found = one(accuracy_gate(high + 1e-5, confidence), report)
    assert (found.value, found.confidence, found.unit) == ((b - c) / 2000, confidence, "share")
    assert found.high == pytest.approx(high, abs=1e-6)
    assert found.low == pytest.approx(low, abs=1e-6)
    assert (found.outcome, found.why) == ("pass", "")
    assert one(accuracy_gate(high - 1e-5, confidence), report).outcome == "inconclusive"
    if low > 0:
        assert one(accuracy_gate(low + 1e-5, confidence), report).outcome == "inconclusive"
        assert one(accuracy_gate(low - 1e-5, confidence), report).outcome == "fail"


def test_the_power_that_is_told_is_that_of_the_gates_confidence() -> None:
    """(1.645 + 1.2816)^2 = 8.564 and (2.326 + 1.2816)^2 = 13.017, times 0.05 / 0.02^2."""
    report = validation(60, 40, 2000)
    found = one(accuracy_gate(0.02), report)
    assert found.note.startswith("2000 texts, 60 lost and 40 gained; about 1071 decide 9 times")
    # sqrt(8.564 x 0.05 / 2000) = 1.463 points; the binomial test of 60 and 40 has p = 0.057.
    assert "a drop of 1.5 points would have shown" in found.note
    assert "McNemar's p = 0.057" in found.note
    assert "about 1628 decide" in one(accuracy_gate(0.02, 0.99), report).note
    assert "decide 9 times" not in one(accuracy_gate(0.0), report).note


def test_an_open_gate_says_what_would_decide() -> None:
    assert one(accuracy_gate(0.005), validation(60, 56, 2000)).why == (
        "2000 texts are too few; about 19869 would decide"
    )
    near = one(accuracy_gate(0.01), validation(60, 40, 2000)).why
    assert near == "the drop seen is too near to the margin for 2000 texts"
    assert "allow a margin" in one(accuracy_gate(0.0), validation(60, 60)).why


@pytest.mark.parametrize("examples", [2, 5, 20, 100])
def test_a_tiny_test_set_without_a_flip_is_no_pass(examples: int) -> None:
    report = validation(0, 0, examples)
    for gate in (
        accuracy_gate(0.02),
        MacroF1Gate(measure="macro_f1", max_drop=0.02, **SINCE),
        slices_gate(0.02),
        agreement_gate(0.98),
    ):
        found = one(gate, report, baselines=since(report))
        assert found.outcome == "inconclusive", gate.measure
        assert found.why


def empty() -> ValidationReport:
    none = {"examples": 0, "truth": packed([])}
    report = validation(0, 0, 10)
    arms = [
        arm.model_copy(update={"answers": packed([]), "correct": 0})
        for arm in (report.reference, *report.candidates)
    ]
    cuts = tuple(cut.model_copy(update={"parts": packed([])}) for cut in report.slices)
    (comparison,) = report.comparisons
    blank = comparison.model_copy(
        update={"examples": 0, "max_logit_difference": 0.0, "macro_f1_drop": estimate(0.0, 0.0)}
    )
    return report.model_copy(
        update={
            **none, "reference": arms[0], "candidates": tuple(arms[1:]), "slices": cuts,
            "comparisons": (blank,),
        }
    )  # fmt: skip


@pytest.mark.parametrize("on", [ON, SINCE], ids=["reference", "baseline"])
def test_an_empty_test_set_decides_nothing_whatever_the_margin(on: dict[str, str]) -> None:
    for gate in (
        AccuracyGate(measure="accuracy", max_drop=1.0, **on),
        MacroF1Gate(measure="macro_f1", max_drop=1.0, **on),
        SlicesGate(measure="slices", max_drop=1.0, by="length", **on),
        AgreementGate(measure="agreement", min_agreement=0.01, **on),
    ):
        found = one(gate, empty(), baselines=since(empty()))
        assert found.outcome == "inconclusive", gate.measure
        assert found.why


def test_against_the_baseline_each_text_is_held_against_itself() -> None:
    """The candidate lost 30 and gained 10 on the reference; its predecessor lost those 30 too."""
    before, now = validation(30, 0), validation(30, 10)
    found = one(accuracy_gate(0.01, **SINCE), now, baselines=since(before))
    assert found.value == pytest.approx(0)
    assert found.note.startswith("2000 texts, 0 lost and 0 gained")
    worse = one(accuracy_gate(0.01, **SINCE), validation(90, 0), baselines=since(before))
    assert worse.value == pytest.approx(60 / 2000)
    assert worse.outcome == "fail"


@pytest.mark.parametrize(
    ("before", "problem"),
    [
        (
            validation(split_sha256="other texts"),
            r"another test set, by its SHA-256 \(the test spl",
        ),
        (validation(examples=1999), r"another number of texts \(2000 now, 1999 then\)"),
        (
            validation().model_copy(update={"labels": ("yes", "no", "maybe")}),
            r"another list of labels \(no, yes, maybe now, yes, no, maybe then\)",
        ),
    ],
    ids=["texts", "number", "labels"],
)
def test_answers_to_other_texts_are_not_compared(before: ValidationReport, problem: str) -> None:
    for gate in (
        accuracy_gate(0.1, **SINCE),
        MacroF1Gate(measure="macro_f1", max_drop=0.1, **SINCE),
        SlicesGate(measure="slices", max_drop=0.1, by="length", **SINCE),
        agreement_gate(0.1, **SINCE),
    ):
        with pytest.raises(UsageError, match=problem):
            one(gate, validation(), baselines=since(before))


def test_macro_f1_by_the_bounds_that_the_report_keeps() -> None:
    # tests/pipeline/measured.py: bounds at 0.95 lie 0.1 x (2 x 0.95 - 1) = 0.09 around 0.01.
    def gate(max_drop: float) -> MacroF1Gate:
        return MacroF1Gate(measure="macro_f1", max_drop=max_drop, **ON)

    found = one(gate(0.1001), validation())
    assert (found.outcome, found.value) == ("pass", 0.01)
    assert (found.low, found.high) == pytest.approx((-0.08, 0.1))
    assert one(gate(0.0999), validation()).outcome == "inconclusive"


def test_macro_f1_since_the_baseline_is_scikit_learns() -> None:
    (truth, _, old), (_, _, new) = columns(30, 0, 2000, 0), columns(90, 0, 2000, 0)
    expected = f1_score(truth, old, average="macro") - f1_score(truth, new, average="macro")
    gate = MacroF1Gate(measure="macro_f1", max_drop=0.1, **SINCE)
    found = one(gate, validation(90, 0), baselines=since(validation(30, 0)))
    assert found.value == pytest.approx(expected)
    assert found.low < expected < found.high


def test_slices_pass_only_all_together() -> None:
    """Everything lost lies in the first half: 24 of its 1000 texts; none in the other."""
    report = validation(24, 0, 2000)
    high = drop_bound(24, 0, 1000, 0.95)
    low = -drop_bound(0, 24, 1000, 0.975, half=0.5)  # two parts share the 5 %
    found = one(slices_gate(high + 1e-5), report)
    assert (found.outcome, found.value) == ("pass", 0.024)
    assert found.high == pytest.approx(high, abs=1e-6)
    assert found.low == pytest.approx(low, abs=1e-6)
    assert found.details[0] == (
        f"1 to 9 tokens: +2.40 points lost ({100 * low:.2f} to {100 * high:.2f}), 1000 texts: kept"
    )
    assert [line.rpartition(": ")[2] for line in found.details] == ["kept", "kept"]
    open_ = one(slices_gate(high - 1e-5), report)
    assert (open_.outcome, open_.why) == ("inconclusive", "too few texts in '1 to 9 tokens'")
    failed = one(slices_gate(low - 1e-5), report)
    assert (failed.outcome, failed.why) == ("fail", "too much is lost in '1 to 9 tokens'")
    assert [line.rpartition(": ")[2] for line in failed.details] == ["lost", "kept"]
    # At its own 95 % the part would have failed already; one of many parts may do so by chance.
    alone = -drop_bound(0, 24, 1000, 0.95)
    assert one(slices_gate(alone - 1e-5), report).outcome == "inconclusive"


def test_slices_that_were_not_cut_say_what_to_add() -> None:
    with pytest.raises(UsageError, match="not cut by 'language'; add it to `slices` of the valid"):
        one(slices_gate(0.1, by="language"), validation())


def test_an_agreement_gate_by_wilsons_bounds() -> None:
    report = validation(flipped=40, examples=1000)
    bounds = stats.binomtest(960, 1000).proportion_ci(0.9, method="wilson")
    found = one(agreement_gate(bounds.low - 1e-6), report)
    assert (found.value, found.limit_is) == (0.96, "at least")
    assert (found.low, found.high) == pytest.approx((bounds.low, bounds.high), abs=1e-9)
    assert found.outcome == "pass"
    assert one(agreement_gate(bounds.low + 1e-6), report).outcome == "inconclusive"
    assert one(agreement_gate(bounds.high - 1e-6), report).outcome == "inconclusive"
    assert one(agreement_gate(bounds.high + 1e-6), report).outcome == "fail"


def with_unlabelled(alike: int, total: int, digest: str = "the texts") -> ValidationReport:
    report = validation()
    reference = np.zeros(total, int)
    candidate = reference.copy()
    candidate[alike:] = 1
    (arm,) = report.candidates
    return report.model_copy(
        update={
            "unlabelled": total,
            "unlabelled_sha256": digest,
            "reference": report.reference.model_copy(
                update={"unlabelled_answers": packed(reference)}
            ),
            "candidates": (arm.model_copy(update={"unlabelled_answers": packed(candidate)}),),
        }
    )


def test_agreement_on_unlabelled_texts() -> None:
    bounds = stats.binomtest(4900, 5000).proportion_ci(0.9, method="wilson")
    found = one(agreement_gate(0.97, on="unlabelled"), with_unlabelled(4900, 5000))
    assert (found.outcome, found.value) == ("pass", 0.98)
    assert (found.low, found.high) == pytest.approx((bounds.low, bounds.high), abs=1e-9)
    assert found.note == "5000 unlabelled texts, 100 answered differently"


def test_agreement_on_unlabelled_texts_since_the_baseline() -> None:
    gate = agreement_gate(0.97, on="unlabelled", against="baseline")
    before = with_unlabelled(4950, 5000)
    found = one(gate, with_unlabelled(4900, 5000), baselines=since(before))
    assert found.value == 0.99
    other = since(with_unlabelled(4950, 5000, digest="others"))
    with pytest.raises(UsageError, match="another set of unlabelled texts"):
        one(gate, with_unlabelled(4900, 5000), baselines=other)


def test_unlabelled_texts_that_are_not_there_say_what_to_wire() -> None:
    with pytest.raises(UsageError, match="wire a `texts` step to the port `unlabelled`"):
        one(agreement_gate(0.5, on="unlabelled"), validation())


def explained(texts: int) -> ValidationReport:
    report = validation()
    (comparison,) = report.comparisons
    found = Explanation(
        method="occlusion", texts=texts, rank_agreement=estimate(0.8), same_top_word=0.9,
        examples=(),
    )  # fmt: skip
    return report.model_copy(
        update={"comparisons": (comparison.model_copy(update={"explanation": found}),)}
    )


@pytest.mark.parametrize(
    ("gate", "limit", "center", "reach"),
    [
        (DivergenceGate(measure="divergence", max_divergence=1, **ON), "max_divergence", 0.2, 0.09),
        (CalibrationGate(measure="calibration", max_increase=1, **ON), "max_increase", 0.01, 0.018),
        (
            ExplanationGate(measure="explanation", min_agreement=0, **ON),
            "min_agreement",
            0.8,
            -0.09,
        ),
    ],
    ids=["divergence", "calibration", "explanation"],
)
def test_resampled_figures_by_the_bounds_that_the_report_keeps(
    gate: DivergenceGate, limit: str, center: float, reach: float
) -> None:
    """tests/pipeline/measured.py spreads them linearly: 0.9 of the spread at 95 %.

    ``reach``: from the figure to the bound that has to clear the limit.
    """

    def at(value: float) -> str:
        return one(gate.model_copy(update={limit: value}), explained(32)).outcome

    found = one(gate, explained(32))
    assert (found.low, found.value, found.high) == pytest.approx(
        (center - abs(reach), center, center + abs(reach))
    )
    assert at(center + 1.001 * reach) == "pass"
    assert at(center + 0.999 * reach) == "inconclusive"
    assert at(center - 0.999 * reach) == "inconclusive"
    assert at(center - 1.001 * reach) == "fail"


def test_a_bootstrap_of_few_texts_decides_nothing() -> None:
    gate = ExplanationGate(measure="explanation", min_agreement=0.01, **ON)
    assert one(gate, explained(20)).outcome == "pass"
    found = one(gate, explained(19))
    assert (found.outcome, found.why) == (
        "inconclusive",
        "19 texts are too few for a bootstrap, which needs 20",
    )
    few = validation(0, 0, 19)
    assert one(MacroF1Gate(measure="macro_f1", max_drop=0.5, **ON), few).outcome == "inconclusive"


def test_what_was_not_explained_says_what_to_add() -> None:
    gate = ExplanationGate(measure="explanation", min_agreement=0.5, **ON)
    with pytest.raises(UsageError, match="give the validate step `explain`"):
        one(gate, validation())


@pytest.mark.parametrize(
    "gate",
    [
        DivergenceGate(measure="divergence", max_divergence=1, **SINCE),
        CalibrationGate(measure="calibration", max_increase=1, **SINCE),
        ExplanationGate(measure="explanation", min_agreement=0, **SINCE),
    ],
    ids=["divergence", "calibration", "explanation"],
)
def test_probabilities_of_an_earlier_run_are_not_there(gate: DivergenceGate) -> None:
    with pytest.raises(UsageError, match="an earlier report holds answers and not probabilities"):
        one(gate, explained(32), baselines=since(explained(32)))

"""What a validate step leaves: every answer, and what candidates lost to the reference."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from edgepipe.artifacts import Split
from edgepipe.measure.models import Device
from edgepipe.measure.records.base import (
    Bytes,
    Count,
    Estimate,
    Interval,
    Ints,
    NotNegative,
    Record,
    ReportBase,
    Share,
    arm_of,
    unpacked,
)


class ClassScores(Record):
    """How one class fared: precision is 0 if it was never answered, recall if it never occurs."""

    label: str
    precision: Share
    recall: Share
    f1: Share
    support: Count
    """Examples of this class."""


class Bin(Record):
    """The texts that one model answers with a probability in one range."""

    count: Count
    confidence: NotNegative
    """Their mean probability of the answer; 0 where there are none."""
    accuracy: Share
    """The share answered rightly; 0 where there are none."""


class Calibration(Record):
    """Whether a model's probabilities are worth their name."""

    ece: NotNegative
    """Expected calibration error: the mean gap of confidence and accuracy, weighted by texts, in
    equal ranges of the answer's probability (Guo et al. 2017)."""
    bins: tuple[Bin, ...]


class ArmAccuracy(Record):
    """How one model answered the split."""

    name: str
    digest: str
    precision: str
    """Of the weights: fp32, fp16, int8 or q4."""
    device: Device
    correct: Count
    accuracy: Share
    interval: Interval
    """Wilson's."""
    macro_f1: float
    """Over the classes that occur in the split or in the answers."""
    classes: tuple[ClassScores, ...]
    confusion: tuple[tuple[Count, ...], ...]
    """``confusion[label][answer]``: counts."""
    calibration: Calibration
    truncated: Count
    """Texts longer than the model reads."""
    files: dict[str, Bytes]
    """Bytes of each file that ships, by its name in the artifact."""
    bytes: Bytes
    """Their sum."""
    answers: str
    """The index of the label answered for every text, packed (``measure.records.packed``)."""
    unlabelled_answers: str = ""
    """The same for the unlabelled texts; empty where there are none."""


class Flip(Record):
    """A text that a candidate answers differently than the reference."""

    row: Annotated[int, Field(ge=1)]
    """Line of the split's file, counted from 1."""
    text: str
    label: str
    reference: str
    candidate: str
    reference_confidence: float
    """Probability of the reference's answer, by the reference."""
    candidate_confidence: float


class SliceBy(Record):
    """One way to cut the split into parts."""

    by: str
    """``length``, ``label`` or a column that the data step keeps."""
    names: tuple[str, ...]
    """Of the parts."""
    parts: str
    """The index into ``names`` of every text, packed."""


class SliceFigures(Record):
    """A candidate beside the reference on one part of the split."""

    name: str
    examples: Count
    reference_only: Count
    candidate_only: Count
    reference_accuracy: Share
    candidate_accuracy: Share
    drop: float
    score: Interval
    """Of the drop, Tango's, at this part's own 95 %."""


class ExplainedText(Record):
    """What one text's words weigh for the reference's answer."""

    text: str
    words: tuple[str, ...]
    reference: tuple[float, ...]
    candidate: tuple[float, ...]
    rank_agreement: float


class Explanation(Record):
    """Whether the candidate answers for the same reasons."""

    method: str
    texts: Count
    rank_agreement: Estimate
    """Spearman's correlation of the words' weights, the mean over texts."""
    same_top_word: Share
    """The share of texts whose weightiest word is the same."""
    examples: tuple[ExplainedText, ...]
    """Those that agree least."""


class Agreement(Record):
    """How often two models answer texts alike."""

    examples: Count
    alike: Count
    agreement: Share
    interval: Interval
    """Wilson's."""


class Comparison(Record):
    """A candidate beside the reference on the same texts."""

    candidate: str
    examples: Count
    reference_only: Count
    """``b``: texts that only the reference answers rightly."""
    candidate_only: Count
    """``c``: texts that only the candidate answers rightly."""
    drop: float
    """Reference accuracy minus candidate accuracy, ``(b - c) / examples``."""
    score: Interval
    """Of the drop, by Tango's score method; gates take the same at their own confidence."""
    mcnemar_p: Share
    """Exact and two-sided: how often chance alone splits ``b`` and ``c`` at least this unevenly."""
    detectable: Share
    """The smallest drop that so many texts with so many flips would have shown 9 times in 10, at
    95 % one-sided confidence."""
    macro_f1_drop: Estimate
    """BCa bootstrap over texts."""
    agreement: Share
    agreement_interval: Interval
    """Wilson's."""
    divergence: Estimate
    """Kullback-Leibler, of the candidate's probabilities from the reference's, in nats, mean over
    texts."""
    calibration_increase: Estimate
    """The candidate's expected calibration error minus the reference's."""
    max_logit_difference: NotNegative
    """The largest over texts and labels."""
    flipped: Count
    """Texts with two different answers, all of them."""
    flips: tuple[Flip, ...]
    """The first of them."""
    slices: dict[str, tuple[SliceFigures, ...]] = Field(default_factory=dict)
    """By ``SliceBy.by``."""
    explanation: Explanation | None = None
    unlabelled: Agreement | None = None


class ValidationReport(ReportBase):
    """Accuracy of a reference and of candidates on one split. The answers carry later bounds."""

    content: Literal["validation"] = "validation"
    data: str
    """Digest of the dataset."""
    split: Split
    split_sha256: str
    """Of the split's file: two reports are comparable text by text when it is the same."""
    labels: Annotated[tuple[str, ...], Field(max_length=100_000)]
    examples: Count
    truth: str
    """The index of every text's label, packed."""
    seed: int
    resamples: Annotated[int, Field(ge=99, le=100_000_000)]
    reference: ArmAccuracy
    candidates: tuple[ArmAccuracy, ...]
    comparisons: tuple[Comparison, ...]
    """One for each candidate, in their order."""
    slices: tuple[SliceBy, ...] = ()
    unlabelled_sha256: str = ""
    """Of the unlabelled texts; empty where there are none."""
    unlabelled: Count = 0
    """How many there are."""

    def labels_of_texts(self) -> Ints:
        """int64 [examples], indices into ``labels``."""
        return unpacked(self.truth, self.examples)

    def answers_of(self, name: str) -> Ints:
        """int64 [examples]: what the arm of that name answered; ValueError without such an arm."""
        return unpacked(self.arm(name).answers, self.examples)

    @property
    def arms(self) -> tuple[ArmAccuracy, ...]:
        """The reference, then the candidates."""
        return (self.reference, *self.candidates)

    def arm(self, name: str) -> ArmAccuracy:
        """The reference or candidate of that name; ValueError without one."""
        return arm_of(self.arms, name)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        truth = self.labels_of_texts()
        columns = [truth]
        for arm in self.arms:
            columns.append(unpacked(arm.answers, self.examples))
            if int((columns[-1] == truth).sum()) != arm.correct:
                raise ValueError(f"{arm.name}: answers and the count of right ones differ")
            if self.unlabelled:
                columns.append(unpacked(arm.unlabelled_answers, self.unlabelled))
        if any(column.size and not 0 <= column.min() <= column.max() < len(self.labels)
               for column in columns):  # fmt: skip
            raise ValueError("an answer is none of the labels")
        for cut in self.slices:
            parts = unpacked(cut.parts, self.examples)
            if parts.size and not 0 <= parts.min() <= parts.max() < len(cut.names):
                raise ValueError(f"slices by {cut.by}: a text is in none of the parts")
        if [c.candidate for c in self.comparisons] != [arm.name for arm in self.candidates]:
            raise ValueError("comparisons and candidates differ")
        for arm, comparison in zip(self.candidates, self.comparisons, strict=True):
            self._require_counts_of(arm, comparison, truth)
        return self

    def _require_counts_of(self, arm: ArmAccuracy, comparison: Comparison, truth: Ints) -> None:
        right = unpacked(self.reference.answers, self.examples) == truth
        rival = unpacked(arm.answers, self.examples) == truth
        told = (comparison.examples, comparison.reference_only, comparison.candidate_only)
        if told != (self.examples, int((right & ~rival).sum()), int((rival & ~right).sum())):
            raise ValueError(f"{arm.name}: answers and the counts of its comparison differ")

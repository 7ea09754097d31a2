"""``[[gate]]``: what a candidate has to keep, one typed table a measure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

BASELINE = "baseline"
"""``against``: the same model in an earlier report."""
Confidence = Annotated[float, Field(gt=0.5, le=0.999)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Tier = Literal["counts", "accuracy", "clocks"]


class _Gate(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )
    tier: ClassVar[Tier]
    """Counts are exact, answers carry sampling error, clocks carry the machine's noise too."""
    step: ClassVar[str]
    """The stage whose report holds the measure."""

    of: str
    """The candidate, by the name of its step."""


class _Against(_Gate):
    against: str
    """The reference of the step that measures it; or ``baseline``: the same candidate in an earlier
    report."""


class _OfAnswers(_Against):
    tier: ClassVar[Tier] = "accuracy"
    step: ClassVar[str] = "validate"


class _Limit(_Gate, ABC):
    """A figure with a limit of its own, or with one relative to another model's."""

    against: str = ""
    """For ``max_ratio``: the model to compare with, or ``baseline``."""
    max_ratio: Positive | None = None
    """Of the other model's figure."""

    @property
    @abstractmethod
    def absolute(self) -> float | None:
        """The limit that needs no other model."""

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if (self.max_ratio is None) == (self.absolute is None):
            raise ValueError("has either max_ratio or a limit of its own")
        if self.max_ratio is not None and not self.against:
            raise ValueError("max_ratio is relative: say against which model, or baseline")
        return self


class AccuracyGate(_OfAnswers):
    """The accuracy lost against the reference, on the same test texts, stays within a margin.

    A test of non-inferiority: it passes when the one-sided upper bound of the drop (Tango 1998) is
    within ``max_drop``, fails when the lower bound is beyond it, and is inconclusive between.
    """

    measure: Literal["accuracy"]
    max_drop: Annotated[float, Field(ge=0, le=1)]
    """A share: 0.015 is 1.5 points."""
    confidence: Confidence = 0.95


class MacroF1Gate(_OfAnswers):
    """The macro-averaged F1 lost against the reference (BCa bootstrap over texts, Efron 1987)."""

    measure: Literal["macro_f1"]
    max_drop: Annotated[float, Field(ge=0, le=1)]
    confidence: Confidence = 0.95


class SlicesGate(_OfAnswers):
    """The accuracy lost stays within a margin in every part of the texts.

    Passes when every part's upper bound is within ``max_drop``, fails when some part's lower bound
    is beyond it, at a confidence divided among the parts (Bonferroni).
    """

    measure: Literal["slices"]
    by: str
    """``length``, ``label``, or a column that the data step keeps."""
    max_drop: Annotated[float, Field(ge=0, le=1)]
    confidence: Confidence = 0.95


class AgreementGate(_OfAnswers):
    """The share of texts that candidate and reference answer alike (Wilson's bounds)."""

    measure: Literal["agreement"]
    min_agreement: Annotated[float, Field(gt=0, le=1)]
    on: Literal["labelled", "unlabelled"] = "labelled"
    """The split, or the texts of the port ``unlabelled``."""
    confidence: Confidence = 0.95


class DivergenceGate(_OfAnswers):
    """The mean Kullback-Leibler divergence from the reference's probabilities, in nats."""

    measure: Literal["divergence"]
    max_divergence: Annotated[float, Field(gt=0)]
    confidence: Confidence = 0.95


class CalibrationGate(_OfAnswers):
    """The expected calibration error gained over the reference."""

    measure: Literal["calibration"]
    max_increase: Annotated[float, Field(ge=0, le=1)]
    confidence: Confidence = 0.95


class ExplanationGate(_OfAnswers):
    """The rank agreement of word attributions with the reference's."""

    measure: Literal["explanation"]
    min_agreement: Annotated[float, Field(gt=-1, le=1)]
    """Spearman's correlation, the mean over texts."""
    confidence: Confidence = 0.95


class ToleranceGate(_Against):
    """The largest difference of any logit from the reference's: exact for the texts asked."""

    tier: ClassVar[Tier] = "counts"
    step: ClassVar[str] = "validate"
    measure: Literal["tolerance"]
    max_difference: Annotated[float, Field(ge=0)]


class SizeGate(_Limit):
    """The bytes that ship, tokenizer and configuration included."""

    tier: ClassVar[Tier] = "counts"
    step: ClassVar[str] = "validate"
    measure: Literal["size"]
    max_bytes: Annotated[int, Field(gt=0)] | None = None

    @property
    def absolute(self) -> float | None:
        """``max_bytes``."""
        return self.max_bytes


class BytesGate(_Limit):
    """Bytes of weights, of activations (the most alive at once), or of resident memory."""

    tier: ClassVar[Tier] = "counts"
    step: ClassVar[str] = "count"
    measure: Literal["weights", "activations", "memory"]
    max_bytes: Annotated[int, Field(gt=0)] | None = None

    @property
    def absolute(self) -> float | None:
        """``max_bytes``."""
        return self.max_bytes


class FlopsGate(_Limit):
    """Operations of matrix products and convolutions, for one text of the step's ``tokens``."""

    tier: ClassVar[Tier] = "counts"
    step: ClassVar[str] = "count"
    measure: Literal["flops"]
    max_flops: Positive | None = None

    @property
    def absolute(self) -> float | None:
        """``max_flops``."""
        return self.max_flops


class OperatorsGate(_Gate):
    """Which operators there are, and where they run."""

    tier: ClassVar[Tier] = "counts"
    step: ClassVar[str] = "count"
    measure: Literal["operators"]
    against: str = ""
    """``baseline``: the same counts as in an earlier report, operator by operator."""
    graph: Literal["file", "executed", "plain"] = "executed"
    """As it lies in the file; as it runs in the runtime's session, after onnxruntime's optimizers;
    or as it runs in a session with default options."""
    required: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    """Names as ``inspect`` shows them: ``MatMul``, ``com.microsoft::Attention``; executed operators
    are known without their domain."""
    expected: dict[str, Annotated[int, Field(ge=0)]] = {}
    """Exact counts: an update of onnxruntime that drops a fusion fails here."""
    provider: str | None = None
    """Every executed node runs there: ``CPUExecutionProvider``, ``CUDAExecutionProvider``."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        rules = (self.required, self.forbidden, self.expected, self.provider, self.against)
        if not any(rules):
            raise ValueError(
                "an operators gate has required, forbidden, expected, provider, or "
                f'against = "{BASELINE}"'
            )
        if self.provider and self.graph == "file":
            raise ValueError("a file runs nowhere: provider goes with graph executed or plain")
        if self.against not in ("", BASELINE):
            raise ValueError(f'against is "{BASELINE}" or left out')
        return self


class LatencyGate(_Against):
    """How many times faster than the reference the candidate answers single texts."""

    tier: ClassVar[Tier] = "clocks"
    step: ClassVar[str] = "benchmark"
    measure: Literal["latency"]
    min_speedup: Positive | None = None
    max_slowdown: Annotated[float, Field(ge=0)] | None = None
    """The same from the other side: 0.05 allows 5 % more time."""
    confidence: Confidence = 0.95

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if (self.min_speedup is None) == (self.max_slowdown is None):
            raise ValueError("a latency gate has either min_speedup or max_slowdown")
        return self

    @property
    def limit(self) -> float:
        """The speed-up asked for, whichever way it is said."""
        return self.min_speedup or 1 / (1 + (self.max_slowdown or 0.0))


class ThroughputGate(_Against):
    """How many times the reference's texts per second the candidate answers in batches."""

    tier: ClassVar[Tier] = "clocks"
    step: ClassVar[str] = "benchmark"
    measure: Literal["throughput"]
    min_ratio: Positive
    confidence: Confidence = 0.95


class PercentileGate(_Gate):
    """A percentile of single-text latency, bounded from above with 99 % confidence.

    Passes when LoadGen's early-stopping order statistic is within ``max_ms``, fails when the one
    that bounds the percentile from below is over it; inconclusive between, and from too few queries
    (64 for the 90th, 662 for the 99th percentile).
    """

    tier: ClassVar[Tier] = "clocks"
    step: ClassVar[str] = "benchmark"
    measure: Literal["percentile"]
    percentile: Literal[90, 99] = 99
    max_ms: Positive


class RateGate(_Gate):
    """The highest rate of Poisson arrivals at which the latency bound of the step holds."""

    tier: ClassVar[Tier] = "clocks"
    step: ClassVar[str] = "benchmark"
    measure: Literal["rate"]
    min_rate: Positive
    """Texts per second."""


Gate = Annotated[
    AccuracyGate
    | MacroF1Gate
    | SlicesGate
    | AgreementGate
    | DivergenceGate
    | CalibrationGate
    | ExplanationGate
    | ToleranceGate
    | SizeGate
    | BytesGate
    | FlopsGate
    | OperatorsGate
    | LatencyGate
    | ThroughputGate
    | PercentileGate
    | RateGate,
    Field(discriminator="measure"),
]

"""OnnxModels to Bundle: one folder that runs without torch, with what was measured of it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgepipe import __version__
from edgepipe.artifacts import Bundle, OnnxModel, Report
from edgepipe.bundle import manifest
from edgepipe.errors import StageError
from edgepipe.stage import Named, Stage, Work, version_of

if TYPE_CHECKING:
    from edgepipe.bundle.manifest import Accuracy, Variant

GOLDEN = "golden.jsonl"
_LEAST_TOLERANCE = {"fp16": 2e-2}
"""By precision: a GPU rounds fp16 in other places than the CPU on which it is measured here."""
_LEAST_OF_OTHERS = 1e-3


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Variants in order of preference, and the validation that speaks for them."""

    variants: Named[OnnxModel]
    validation: Report | None = None


class Package(Stage[Inputs, Bundle]):
    """Assemble the bundle, then run every variant through the runtime on the golden texts."""

    inputs = Inputs
    makes = Bundle
    tools = ("edgepipe", "huggingface-hub", "onnx", "onnxruntime", "tokenizers")
    depends = frozenset({"name"})

    def requires(self, inputs: Inputs) -> None:
        """Variants of one model, and a validation rather than a benchmark."""
        from edgepipe.bundle import layout

        layout.check(inputs.variants)
        if inputs.validation is not None and inputs.validation.content != "validation":
            raise StageError("validation reads a benchmark; wire a validate step to it")

    def run(self, inputs: Inputs, into: Path, work: Work) -> Bundle:
        """A bundle whose every variant for the CPU was verified, loaded and run where it lies."""
        from edgepipe.bundle import layout

        accuracy, data = _measured(inputs)
        tools = {**{name: version_of(name) for name in self.tools}, "edgepipe": __version__}
        made = layout.assemble(
            inputs.variants, accuracy, into, name=work.name, data=data, tools=tools
        )
        if not (into / GOLDEN).exists():
            return made
        by_precision = {model.precision: model for model in inputs.variants.values()}
        variants = manifest.read(into).variants
        tolerances = [_tolerance(v, by_precision[v.precision].path, into) for v in variants]
        made = layout.with_tolerances(into, made, tolerances)
        _replay(into, variants)
        return made


def _measured(inputs: Inputs) -> tuple[dict[str, Accuracy], str]:
    """Accuracy by step name, and the digest of the dataset; empty without a validation."""
    from edgepipe.bundle.manifest import Accuracy
    from edgepipe.measure.records import REPORT, ValidationReport

    if inputs.validation is None:
        return {}, ""
    report = ValidationReport.read(inputs.validation.path / REPORT)
    agreement = {c.candidate: c.agreement for c in report.comparisons}
    found = {
        arm.name: Accuracy(
            accuracy=arm.accuracy,
            low=arm.interval.low,
            high=arm.interval.high,
            split=report.split,
            examples=report.examples,
            agreement=agreement[arm.name],
        )
        for arm in report.candidates
        if arm.digest == getattr(inputs.variants.get(arm.name), "digest", None)
    }
    return found, report.data


def _tolerance(variant: Variant, alone: Path, bundle: Path) -> float:
    """Twice the largest difference seen from the golden logits, rounded up to two digits.

    Measured on the CPU, in the bundle; a variant for GPUs alone is taken from the folder ``alone``
    that it came from, which says nothing of devices.
    """
    import numpy as np

    from edgepipe import runtime

    lines = (bundle / GOLDEN).read_text(encoding="utf-8").split("\n")
    golden = [json.loads(line) for line in lines if line]
    expected = np.asarray([g["logits"] for g in golden], np.float32)
    folder = bundle if "cpu" in variant.devices else alone
    with runtime.load(folder, variant=variant.name, threads=1) as model:
        found = model.logits([g["text"] for g in golden], exact=True)
    off = float(np.abs(found - expected).max())
    if not math.isfinite(off):
        raise StageError(f"variant {variant.name} answers NaN or infinity on a golden text")
    least = _LEAST_TOLERANCE.get(variant.precision, _LEAST_OF_OTHERS)
    return max(least, _rounded_up(2 * off))


def _replay(bundle: Path, variants: Iterable[Variant]) -> None:
    """BundleError unless the finished bundle passes the check that its users may ask for."""
    from edgepipe import runtime

    for variant in variants:
        if "cpu" in variant.devices:
            runtime.load(bundle, variant=variant.name, threads=1, check=True).close()


def _rounded_up(value: float) -> float:
    """Two significant digits, never below ``value``."""
    if value == 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit) * unit:.2g}")

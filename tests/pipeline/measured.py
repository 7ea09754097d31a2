"""Reports made by hand, for gates to be judged on and pages to be drawn from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepipe.measure.machine import Machine
from edgepipe.measure.records import (
    PROBABILITIES,
    ArmAccuracy,
    ArmCounts,
    ArmTimes,
    BenchmarkReport,
    Bin,
    Calibration,
    Comparison,
    CountsReport,
    Estimate,
    Flip,
    Interval,
    Roofline,
    SliceBy,
    SliceFigures,
    Speedup,
    ValidationReport,
    packed,
)

SOME = Interval(low=0.4, high=0.6)
LABELS = ("no", "yes", "maybe")
MACHINE = Machine(
    cpu="Some CPU", architecture="x86_64", features=("avx2",), cores=2, memory_bytes=8 << 30,
    system="Linux 6", python="3.11.7", packages={"onnxruntime": "1.31.1"},
)  # fmt: skip
OTHER_MACHINE = MACHINE.model_copy(update={"cpu": "Another CPU"})


def estimate(value: float, spread: float = 0.1) -> Estimate:
    """A figure whose bounds reach ``spread`` at the outermost level, linearly."""
    quantiles = tuple(value + spread * (2 * p - 1) for p in PROBABILITIES)
    return Estimate(value=value, quantiles=quantiles)


def arm(
    name: str, truth: np.ndarray, answers: np.ndarray, size: int = 100, digest: str = ""
) -> ArmAccuracy:
    correct = int((truth == answers).sum())
    confusion = np.zeros((len(LABELS), len(LABELS)), int)
    np.add.at(confusion, (truth, answers), 1)
    return ArmAccuracy(
        name=name, digest=digest or f"digest of {name}", precision="fp32", device="cpu",
        correct=correct, accuracy=correct / len(truth), interval=SOME, macro_f1=0.5, classes=(),
        confusion=tuple(tuple(map(int, row)) for row in confusion),
        calibration=Calibration(ece=0.02, bins=(Bin(count=9, confidence=0.8, accuracy=0.7),)),
        truncated=0, files={"onnx/model.onnx": size}, bytes=size, answers=packed(answers),
    )  # fmt: skip


def columns(b: int, c: int, total: int, flipped: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, reference and candidate: ``b`` only the reference gets right, ``c`` the candidate.

    Each label is the true one of every third text.
    """
    truth = np.arange(total) % len(LABELS)
    wrong, other = (truth + 1) % len(LABELS), (truth + 2) % len(LABELS)
    row = np.arange(total)
    old = np.where((row >= b) & (row < max(flipped, b + c)), wrong, truth)
    new = np.where(row < b, wrong, np.where((row >= b + c) & (row < flipped), other, truth))
    return truth, old, new


def validation(  # noqa: PLR0913 - counts by name
    reference_only: int = 0,
    candidate_only: int = 0,
    examples: int = 2000,
    *,
    flipped: int = 0,
    size: int = 25,
    names: tuple[str, str] = ("teacher", "int8"),
    split_sha256: str = "the test split",
) -> ValidationReport:
    """The candidate against the reference, on texts with these counts. Two slices: halves."""
    b, c, n = reference_only, candidate_only, examples
    truth, old, new = columns(b, c, n, flipped)
    flipped = int((old != new).sum())
    flips = tuple(
        Flip(
            row=row + 1, text=f"text {row}", label=LABELS[truth[row]], reference=LABELS[old[row]],
            candidate=LABELS[new[row]], reference_confidence=0.9, candidate_confidence=0.6,
        )
        for row in np.flatnonzero(old != new)[:50].tolist()
    )  # fmt: skip
    parts = np.arange(n) * 2 // n
    cut = SliceBy(by="length", names=("1 to 9 tokens", "10 or more"), parts=packed(parts))
    halves = []
    for part, name in enumerate(cut.names):
        t, o, w = truth[parts == part], old[parts == part], new[parts == part]
        only_old, only_new = int(((o == t) & (w != t)).sum()), int(((o != t) & (w == t)).sum())
        halves.append(
            SliceFigures(
                name=name, examples=len(t), reference_only=only_old, candidate_only=only_new,
                reference_accuracy=float((o == t).mean()),
                candidate_accuracy=float((w == t).mean()),
                drop=(only_old - only_new) / len(t), score=SOME,
            )
        )  # fmt: skip
    comparison = Comparison(
        candidate=names[1], examples=n, reference_only=b, candidate_only=c, drop=(b - c) / n,
        score=SOME, mcnemar_p=1.0, detectable=0.01, macro_f1_drop=estimate(0.01),
        agreement=(n - flipped) / n, agreement_interval=SOME, divergence=estimate(0.2),
        calibration_increase=estimate(0.01, 0.02), max_logit_difference=0.5, flipped=flipped,
        flips=flips, slices={"length": tuple(halves)},
    )  # fmt: skip
    return ValidationReport(
        data="d", split="test", split_sha256=split_sha256, labels=LABELS, examples=n,
        truth=packed(truth), seed=0, resamples=99, reference=arm(names[0], truth, old),
        candidates=(arm(names[1], truth, new, size),), comparisons=(comparison,), slices=(cut,),
    )  # fmt: skip


def times(name: str) -> ArmTimes:
    return ArmTimes(
        name=name, digest=f"digest of {name}", device="cpu", bytes=7, calls=20, p50_ms=1.0,
        p90_ms=2.0, p99_ms=None, quantiles_ms=tuple(0.5 + n / 50 for n in range(101)),
        cpu_p50_ms=0.9, texts_per_second=900.0, texts_per_cpu_second=950.0, load_s=0.3,
        peak_memory_bytes=1000,
    )  # fmt: skip


def speedup(name: str, log_ratios: Sequence[Sequence[float]], ratio: float = 8.0) -> Speedup:
    return Speedup(
        candidate=name, ratio=ratio, interval=SOME, standard_error=0.01,
        degrees_of_freedom=len(log_ratios) - 1, log_ratios=tuple(map(tuple, log_ratios)),
    )  # fmt: skip


def benchmark(
    log_ratios: Sequence[Sequence[float]],
    *,
    ratio: float = 8.0,
    doubts: tuple[str, ...] = (),
    name: str = "int8",
    machine: Machine = MACHINE,
) -> BenchmarkReport:
    found = speedup(name, log_ratios, ratio)
    return BenchmarkReport(
        machine=machine, device="cpu", threads=1, clock="cpu", data="d", split="validation",
        texts=10, texts_sha256="the texts", batch=5, seed=0, seconds=1.5,
        reference=times("teacher"), candidates=(times(name),), speedups=(found,),
        control=speedup("the reference again", ((0.0, 0.001), (0.001, 0.0)), 1.0), doubts=doubts,
        roofline=Roofline(fp32_flops_per_s=1.7e11, int8_ops_per_s=7.4e11, bytes_per_s=1.5e10),
    )  # fmt: skip


def counts(name: str = "int8", machine: Machine = MACHINE) -> CountsReport:
    def model(name: str, scale: int) -> ArmCounts:
        return ArmCounts(
            name=name, digest=f"digest of {name}", precision="fp32", device="cpu",
            operators={"MatMul": 4, "LayerNormalization": 3},
            executed={"CPUExecutionProvider": {"MatMul": 4, "LayerNormalization": 3}},
            executed_plain={"CPUExecutionProvider": {"MatMul": 4, "SkipLayerNormalization": 3}},
            fp32_flops=2e9, int8_ops=0.0, uncounted=(), weight_bytes=100 * scale,
            activation_bytes=50, peak_activation_bytes=20, files={"onnx/model.onnx": 100 * scale},
            bytes=100 * scale, peak_memory_bytes=10**8 * scale,
        )  # fmt: skip

    return CountsReport(machine=machine, tokens=128, models=(model("fp32", 4), model(name, 1)))

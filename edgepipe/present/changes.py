"""What differs between two reports, model by model: information, never a verdict.

Figures stand beside each other only where they can be compared: accuracy on the same test texts,
clocks on the same machine under the same conditions. Where they cannot, the reason is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from edgepipe.measure.records import (
    ArmAccuracy,
    ArmCounts,
    ArmTimes,
    BenchmarkReport,
    CountsReport,
    ValidationReport,
)
from edgepipe.pipeline.report import RunReport
from edgepipe.pipeline.verdict import Unit
from edgepipe.present import words

Arm = TypeVar("Arm", ArmAccuracy, ArmTimes, ArmCounts)
ANSWERS = "texts answered differently"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One figure of one model in both reports."""

    model: str
    what: str
    unit: Unit | Literal["count"]
    before: float | None
    """None: it was not measured then, or cannot be compared."""
    after: float | None
    why: str = ""
    """Why the two are not compared; empty where they are."""

    @property
    def same(self) -> bool:
        """Both are known, comparable and equal."""
        return not self.why and self.before is not None and self.before == self.after

    @property
    def difference(self) -> str:
        """How far apart the two are, in words; empty where they cannot be compared."""
        if self.why or self.before is None or self.after is None:
            return ""
        if self.same:
            return "same"
        apart = self.after - self.before
        if self.unit == "count":
            return f"{apart:+.0f}"
        if self.unit == "share":
            return _signed(apart, words.points(abs(apart)))
        if self.before > 0:
            return f"{apart / self.before:+.1%}"
        return _signed(apart, words.figure(abs(apart), self.unit))

    def shown(self, value: float | None) -> str:
        """``before`` or ``after`` with its unit."""
        if self.unit != "count":
            return words.figure(value, self.unit)
        return words.NONE if value is None else f"{value:.0f}"


def changes(report: RunReport, baseline: RunReport) -> tuple[Change, ...]:
    """Every figure that both reports hold of a model of the same name, in a step of the same name.

    Operators only where their number differs.
    """
    return tuple(_changes(report, baseline))


def missing(report: RunReport, baseline: RunReport) -> tuple[str, ...]:
    """What one of the two reports measured and the other did not, a line each."""
    before, after = _models(baseline), _models(report)
    gone = [f"{model!r} of step {step!r} is only in the baseline" for step, model in before - after]
    come = [f"{model!r} of step {step!r} is not in the baseline" for step, model in after - before]
    return (*sorted(gone), *sorted(come))


def _models(report: RunReport) -> set[tuple[str, str]]:
    return {(step, arm.name) for step, measured in report.measured.items() for arm in measured.arms}


def _changes(report: RunReport, baseline: RunReport) -> Iterator[Change]:
    for step, new in report.measured.items():
        old = baseline.measured.get(step)
        if isinstance(new, CountsReport) and isinstance(old, CountsReport):
            yield from _counts(new, old)
        elif isinstance(new, ValidationReport) and isinstance(old, ValidationReport):
            yield from _validation(new, old)
        elif isinstance(new, BenchmarkReport) and isinstance(old, BenchmarkReport):
            yield from _benchmark(new, old)


def _pairs(new: Iterable[Arm], old: Iterable[Arm]) -> Iterator[tuple[Arm, Arm]]:
    """Each new model that has an old one of its name, with that one."""
    before = {arm.name: arm for arm in old}
    return ((arm, before[arm.name]) for arm in new if arm.name in before)


def _validation(new: ValidationReport, old: ValidationReport) -> Iterator[Change]:
    why = _other_texts(new, old)
    for arm, then in _pairs(new.arms, old.arms):
        make = _Maker(arm.name, why)
        yield make("accuracy", "share", then.accuracy, arm.accuracy)
        yield make("macro F1", "share", then.macro_f1, arm.macro_f1)
        if not why:
            yield _answers(new, old, arm.name)
        yield _Maker(arm.name)("size of the files", "bytes", then.bytes, arm.bytes)


def _other_texts(new: ValidationReport, old: ValidationReport) -> str:
    if new.split_sha256 != old.split_sha256:
        return f"the {new.split} texts are others"
    if new.labels != old.labels:
        return "the labels are others"
    return ""


def _answers(new: ValidationReport, old: ValidationReport, name: str) -> Change:
    differ = int((new.answers_of(name) != old.answers_of(name)).sum())
    return Change(model=name, what=ANSWERS, unit="count", before=0, after=differ)


def _benchmark(new: BenchmarkReport, old: BenchmarkReport) -> Iterator[Change]:
    why = _other_conditions(new, old)
    for arm, then in _pairs(new.arms, old.arms):
        make = _Maker(arm.name, why)
        yield make("median latency", "ms", then.p50_ms, arm.p50_ms)
        yield make("median CPU time", "ms", then.cpu_p50_ms, arm.cpu_p50_ms)
        yield make(
            "texts a second in batches", "per second", then.texts_per_second, arm.texts_per_second
        )
        if then.floor is not None and arm.floor is not None:
            yield _Maker(arm.name)(
                "share of what the machine can give", "share", then.floor.share, arm.floor.share
            )
    ratios = {found.candidate: found.ratio for found in old.speedups}
    for found in new.speedups:
        if found.candidate in ratios:
            what = f"speed-up over {new.reference.name}"
            yield _Maker(found.candidate, why or _other_reference(new, old))(
                what, "ratio", ratios[found.candidate], found.ratio
            )


def _other_conditions(new: BenchmarkReport, old: BenchmarkReport) -> str:
    """Clocks compare on the same machine, with the same texts, threads and device."""
    machine = _other_machine(new, old)
    if machine:
        return machine
    pairs = {
        "device": (old.device, new.device),
        "thread count": (old.threads, new.threads),
        "clock": (old.clock, new.clock),
        "batch size": (old.batch, new.batch),
    }
    for what, (then, now) in pairs.items():
        if then != now:
            return f"another {what}: {then}"
    return "the texts timed are others" if new.texts_sha256 != old.texts_sha256 else ""


def _other_machine(new: BenchmarkReport | CountsReport, old: BenchmarkReport | CountsReport) -> str:
    if new.machine.machine_id == old.machine.machine_id:
        return ""
    return f"another machine: {old.machine.cpu}, {old.machine.cores} cores"


def _other_reference(new: BenchmarkReport, old: BenchmarkReport) -> str:
    same = (new.reference.name, new.reference.digest) == (old.reference.name, old.reference.digest)
    return "" if same else "the reference is another"


def _counts(new: CountsReport, old: CountsReport) -> Iterator[Change]:
    why = "" if new.tokens == old.tokens else f"for texts of {old.tokens} tokens"
    for arm, then in _pairs(new.arms, old.arms):
        make, for_text = _Maker(arm.name), _Maker(arm.name, why)
        on_machine = _Maker(arm.name, _other_machine(new, old))
        yield make("size of the weights", "bytes", then.weight_bytes, arm.weight_bytes)
        yield for_text("operations for one text", "flops", then.flops, arm.flops)
        yield for_text(
            "memory of the activations",
            "bytes",
            then.peak_activation_bytes,
            arm.peak_activation_bytes,
        )
        yield on_machine(
            "memory of a fresh process", "bytes", then.peak_memory_bytes, arm.peak_memory_bytes
        )
        yield from _operators(arm.name, "in the file", then.operators, arm.operators)
        yield from _operators(arm.name, "executed", executed(then), executed(arm))


def executed(arm: ArmCounts) -> dict[str, int]:
    """Nodes that run in the runtime's session: counts by operator and where it is placed.

    ``MatMul`` on the provider of the device asked for, ``MatMul on NAME`` on any other.
    """
    own = "CUDAExecutionProvider" if arm.device == "cuda" else "CPUExecutionProvider"
    return {
        operator if provider == own else f"{operator} on {provider}": count
        for provider, counted in arm.executed.items()
        for operator, count in counted.items()
    }


def _operators(
    model: str, where: str, before: Mapping[str, int], after: Mapping[str, int]
) -> Iterable[Change]:
    names: Sequence[str] = sorted({*before, *after})
    for name in names:
        then, now = before.get(name, 0), after.get(name, 0)
        if then != now:
            what = f"{name} {where}"
            yield Change(model=model, what=what, unit="count", before=then, after=now)


@dataclass(frozen=True)
class _Maker:
    """Changes of one model, all comparable or none."""

    model: str
    why: str = ""

    def __call__(self, what: str, unit: Unit, before: float, after: float) -> Change:
        return Change(
            model=self.model, what=what, unit=unit, before=before, after=after, why=self.why
        )


def _signed(value: float, text: str) -> str:
    return f"{'-' if value < 0 else '+'}{text}"

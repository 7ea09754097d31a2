"""Gates without noise: bytes, operations, operators, the largest difference of a logit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeVar

from edgepipe.errors import UsageError
from edgepipe.measure.records import ArmCounts, CountsReport, ValidationReport
from edgepipe.pipeline.gate import (
    BASELINE,
    BytesGate,
    FlopsGate,
    Gate,
    OperatorsGate,
    SizeGate,
    ToleranceGate,
)
from edgepipe.pipeline.judge.finding import Finding
from edgepipe.pipeline.judge.scene import Scene, Sight, require_same, title

R = TypeVar("R", ValidationReport, CountsReport)


class _Figure(NamedTuple):
    value: float
    uncounted: tuple[str, ...] = ()
    """What may add to it."""


def find(gate: Gate, scene: Scene) -> Finding:
    """The figure of any gate of this tier."""
    match gate:
        case ToleranceGate():
            return _tolerance(gate, scene)
        case SizeGate():
            return _size(gate, scene)
        case BytesGate() | FlopsGate():
            return _counted(gate, scene)
        case OperatorsGate():
            return _operators(gate, scene)
        case _:
            raise TypeError(f"{gate.measure} is of another tier")


def _tolerance(gate: ToleranceGate, scene: Scene) -> Finding:
    if gate.against == BASELINE:
        raise UsageError(
            f"{title(gate)}: an earlier report holds answers and not logits; judge it against the "
            "reference of the step"
        )
    report = scene.report(gate, ValidationReport).report
    value = next(c for c in report.comparisons if c.candidate == gate.of).max_logit_difference
    doubt = "" if report.examples else "there is no text to judge it on"
    return Finding(value=value, low=value, high=value, doubt=doubt, note=f"{report.examples} texts")


def _size(gate: SizeGate, scene: Scene) -> Finding:
    """Counts know the files as well: two models side by side have no answers."""
    if scene.measures(gate, CountsReport) and not scene.measures(gate, ValidationReport):
        return _sized(gate, scene, scene.report(gate, CountsReport))
    return _sized(gate, scene, scene.report(gate, ValidationReport))


def _sized(gate: SizeGate, scene: Scene, now: Sight[R]) -> Finding:
    mine = _Figure(now.report.arm(gate.of).bytes)
    if gate.max_ratio is None:
        return _against_limit(mine)
    if gate.against == BASELINE:
        rival = _Figure(scene.earlier(gate, now, same_machine=False).arm(gate.of).bytes)
    else:
        rival = _Figure(now.report.arm(gate.against).bytes)
    return _against_model(gate, mine, rival)


def _counted(gate: BytesGate | FlopsGate, scene: Scene) -> Finding:
    now = scene.report(gate, CountsReport)
    mine = _figure(gate, now.report.arm(gate.of))
    if gate.max_ratio is None:
        return _unknown(gate, mine) or _against_limit(mine)
    if gate.against == BASELINE:
        rival = _earlier(gate, scene, now)
    else:
        rival = _figure(gate, now.report.arm(gate.against))
    return _unknown(gate, mine, rival) or _against_model(gate, mine, rival)


def _unknown(gate: BytesGate | FlopsGate, *figures: _Figure) -> Finding | None:
    """No process takes no memory: there the system did not tell, and nothing can be said."""
    if gate.measure != "memory" or all(figure.value for figure in figures):
        return None
    doubt = "the system where it was counted does not tell a process's memory; count on Linux"
    return Finding(value=None, low=None, high=None, doubt=doubt)


def _earlier(gate: BytesGate | FlopsGate, scene: Scene, now: Sight[CountsReport]) -> _Figure:
    """Counts of another machine will do; the memory of a process, or of other texts, will not."""
    here = gate.measure == "memory"
    then = scene.earlier(gate, now, same_machine=here)
    same: dict[str, tuple[object, object]] = {"length in tokens": (now.report.tokens, then.tokens)}
    if here:
        same["machine"] = (now.report.machine.cpu, then.machine.cpu)
    require_same(gate, {} if gate.measure == "weights" else same)
    return _figure(gate, then.arm(gate.of))


def _figure(gate: BytesGate | FlopsGate, arm: ArmCounts) -> _Figure:
    match gate.measure:
        case "weights":
            return _Figure(arm.weight_bytes)
        case "activations":
            return _Figure(arm.peak_activation_bytes)
        case "memory":
            return _Figure(arm.peak_memory_bytes)
        case "flops":
            return _Figure(arm.flops, arm.uncounted)


def _against_limit(mine: _Figure) -> Finding:
    high = None if mine.uncounted else mine.value
    return Finding(value=mine.value, low=mine.value, high=high, mend=_uncounted(mine.uncounted))


def _against_model(
    gate: SizeGate | BytesGate | FlopsGate, mine: _Figure, rival: _Figure
) -> Finding:
    """The ratio; what is not counted can only raise either of the two figures."""
    if rival.value == 0:
        raise UsageError(f"{title(gate)}: {gate.against!r} has none, so there is no ratio to it")
    ratio = mine.value / rival.value
    return Finding(
        value=ratio,
        low=None if rival.uncounted else ratio,
        high=None if mine.uncounted else ratio,
        mend=_uncounted((*mine.uncounted, *rival.uncounted)),
        note=f"{mine.value:,.0f} beside {rival.value:,.0f}",
    )


def _uncounted(operators: tuple[str, ...]) -> str:
    names = ", ".join(dict.fromkeys(operators))
    return f"the work of {names} is not counted" if names else ""


def _operators(gate: OperatorsGate, scene: Scene) -> Finding:
    now = scene.report(gate, CountsReport)
    placed = _placed(gate, now.report.arm(gate.of))
    broken = list(_broken(gate, placed))
    if gate.against == BASELINE:
        then = scene.earlier(gate, now, same_machine=False)
        if gate.graph != "file":  # what runs is optimized for the device
            devices = (now.report.arm(gate.of).device, then.arm(gate.of).device)
            require_same(gate, {"device": devices})
        before = _placed(gate, then.arm(gate.of))
        broken += _changed(_merged(before), _merged(placed))
    count = float(len(broken))
    return Finding(
        value=count,
        low=count,
        high=count,
        fault="; ".join(broken),
        note=f"{sum(_merged(placed).values())} operators, graph {gate.graph}",
        details=tuple(broken),
    )


def _placed(gate: OperatorsGate, arm: ArmCounts) -> Mapping[str, Mapping[str, int]]:
    """Counts by operator, by provider; those of a file have none."""
    match gate.graph:
        case "file":
            found: Mapping[str, Mapping[str, int]] = {"": arm.operators}
        case "executed":
            found = arm.executed
        case "plain":
            found = arm.executed_plain
    if not any(found.values()):
        raise ValueError(f"no operators of {arm.name!r} are known, graph {gate.graph}")
    return found


def _merged(placed: Mapping[str, Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for operators in placed.values():
        total.update(operators)
    return total


def _broken(gate: OperatorsGate, placed: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    found = _merged(placed)
    for name in gate.required:
        if not found[_spelt(gate, name)]:
            yield f"{name} is required and not there"
    for name in gate.forbidden:
        if count := _count(gate, name, found):
            yield f"{name} is forbidden and there {_times(count)}"
        elif near := _misspelt(name, found):
            yield f"{name} is forbidden and not there, but {near} is; write {near} if it is meant"
    for name, expected in gate.expected.items():
        if (count := _count(gate, name, found)) != expected:
            yield f"{name} is there {_times(count)}, expected {_times(expected)}"
    for provider, operators in placed.items():
        if gate.provider and provider != gate.provider and any(operators.values()):
            names = ", ".join(f"{count} {name}" for name, count in sorted(operators.items()))
            yield f"{provider} runs {names}; all should run on {gate.provider}"


def _spelt(gate: OperatorsGate, name: str) -> str:
    """Executed operators are known without their domain."""
    return name if gate.graph == "file" else _bare(name)


def _count(gate: OperatorsGate, name: str, found: Counter[str]) -> int:
    """Operators of exactly that name; a name without a domain stands for those of every domain."""
    spelt = _spelt(gate, name)
    if "::" in spelt:
        return found[spelt]
    return sum(count for other, count in found.items() if _bare(other) == spelt)


def _bare(name: str) -> str:
    return name.rpartition("::")[2]


def _misspelt(name: str, found: Counter[str]) -> str:
    """The operator there whose name differs in case alone; empty without one."""
    wanted = _bare(name).casefold()
    near = (n for n, count in found.items() if count and _bare(n).casefold() == wanted)
    return next((n for n in near if _bare(n) != _bare(name)), "")


def _changed(before: Counter[str], now: Counter[str]) -> Iterator[str]:
    for name in sorted(before.keys() | now.keys()):
        if before[name] != now[name]:
            yield f"{name}: {before[name]} in the baseline, {now[name]} now"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"

"""The page's counts: figures without noise, and which operators a model is made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from edgepipe.measure.records import ArmCounts, CountsReport
from edgepipe.pipeline.report import RunReport
from edgepipe.present.page_parts import NOTHING, Table, counted, operations, table
from edgepipe.present.words import figure

_OPERATORS = 60


@dataclass(frozen=True, kw_only=True)
class CountsView:
    """One count step."""

    step: str
    about: str
    models: Table
    operators: Table | None
    uncounted: tuple[str, ...]


def counts_views(report: RunReport) -> list[CountsView]:
    """One for each count step."""
    return [_view(step, found) for step, found in counted(report).items() if found.models]


def _view(step: str, report: CountsReport) -> CountsView:
    return CountsView(
        step=step,
        about=(
            f"For one text of {report.tokens:,} tokens; exact, and the same at every run, but for "
            "the memory of the process, which is measured."
        ),
        models=_models(report),
        operators=_operators(report),
        uncounted=tuple(
            f"{arm.name}: {', '.join(arm.uncounted)} may multiply matrices and is not counted."
            for arm in report.models
            if arm.uncounted
        ),
    )


def _models(report: CountsReport) -> Table:
    columns = (
        *("model", "precision", "float", "8-bit", "weights", "activations", "at once"),
        *("files", "process", "runs on"),
    )
    rows = (
        (
            arm.name,
            arm.precision,
            figure(arm.fp32_flops, "flops"),
            operations(arm.int8_ops),
            figure(arm.weight_bytes, "bytes"),
            figure(arm.activation_bytes, "bytes"),
            figure(arm.peak_activation_bytes, "bytes"),
            figure(arm.bytes, "bytes"),
            figure(arm.peak_memory_bytes, "bytes"),
            ", ".join(_providers(arm)) or NOTHING,
        )
        for arm in report.models
    )
    return table(columns, rows, words=2)


def _providers(arm: ArmCounts) -> list[str]:
    """``CPU`` or ``CUDA 40, CPU 2``: where nodes run."""
    counts = {
        name.removesuffix("ExecutionProvider"): sum(of.values())
        for name, of in arm.executed.items()
    }
    return list(counts) if len(counts) == 1 else [f"{name} {n}" for name, n in counts.items()]


def _operators(report: CountsReport) -> Table | None:
    """Operators down, the frequent ones first; models across, each in the file and executed."""
    kinds = [
        [_bare(arm.operators), _total(arm.executed), _total(arm.executed_plain)]
        for arm in report.models
    ]
    total: Counter[str] = Counter()
    for model in kinds:
        for found in model:
            total.update(found)
    if not total:
        return None
    names = sorted(total, key=lambda name: (-total[name], name))
    columns = [
        f"{arm.name}: {what}"
        for arm in report.models
        for what in ("file", "executed", "plain session")
    ]
    flat = [found for model in kinds for found in model]
    rows = (
        (name, *(f"{found[name]:,}" if found[name] else NOTHING for found in flat))
        for name in names[:_OPERATORS]
    )
    more = f"{len(names) - _OPERATORS} more operators" if len(names) > _OPERATORS else ""
    return table(("operator", *columns), rows, more=more)


def _bare(operators: Mapping[str, int]) -> Counter[str]:
    """Without their domains, which executed operators do not have either."""
    found: Counter[str] = Counter()
    for name, count in operators.items():
        found[name.rpartition("::")[2]] += count
    return found


def _total(executed: Mapping[str, Mapping[str, int]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for operators in executed.values():
        found.update(operators)
    return found

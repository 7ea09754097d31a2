"""Gates over committed reports: pass, fail or inconclusive, with the bound that decided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from edgepipe.errors import BundleError, UsageError
from edgepipe.measure.records import Measured
from edgepipe.pipeline.baseline import NONE, Baselines, since_baseline
from edgepipe.pipeline.gate import Gate
from edgepipe.pipeline.judge import accuracy, clocks, counts
from edgepipe.pipeline.judge.finding import Finding, verdict_on
from edgepipe.pipeline.judge.scene import MissingBaselineError, Scene, title
from edgepipe.pipeline.verdict import Verdict

__all__ = ["judge"]
_FIND = {"accuracy": accuracy.find, "counts": counts.find, "clocks": clocks.find}


def judge(
    gates: Iterable[Gate],
    measured: Mapping[str, Measured],
    baselines: Baselines = NONE,
    *,
    untimed: str = "",
) -> list[Verdict]:
    """One verdict a gate, in order. ``measured``: reports by the name of their step.

    ``untimed`` is the reason why there are no clocks: gates on them are inconclusive for it.

    Raises UsageError when no report holds what a gate asks for, when several do and differ, or when
    report and baseline cannot be compared; BundleError when a report contradicts itself.
    """
    scene = Scene(measured, baselines)
    return [verdict_on(gate, _finding(gate, scene, untimed)) for gate in gates]


def _finding(gate: Gate, scene: Scene, untimed: str) -> Finding:
    if untimed and gate.tier == "clocks":
        return Finding(value=None, low=None, high=None, doubt=untimed)
    scenes = scene.alone(gate)
    found, *others = [_judged(gate, alone) for alone in scenes]
    if any(other != found for other in others):
        steps = ", ".join(sorted(step for alone in scenes for step in alone.measured))
        raise UsageError(
            f"{title(gate)}: the steps {steps} measured it, and differ; let one of them do it"
        )
    return found


def _judged(gate: Gate, scene: Scene) -> Finding:
    """What the one report of ``scene`` says; the baseline that decided is named."""
    try:
        found = _FIND[gate.tier](gate, scene)
    except MissingBaselineError as error:
        return Finding(value=None, low=None, high=None, doubt=str(error))
    except (ValueError, StopIteration, ZeroDivisionError) as error:
        reason = str(error) or "figures are missing"
        raise BundleError(f"{title(gate)}: wrong report: {reason}") from error
    if not since_baseline(gate):
        return found
    here = gate.tier == "clocks" or gate.measure == "memory"
    decided = scene.baselines.named(same_machine=here)
    return replace(found, note="; ".join(filter(None, (found.note, decided))))

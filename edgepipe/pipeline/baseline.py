"""The report to compare with: one file, or the newest that fits in a folder of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgepipe.errors import UsageError
from edgepipe.measure.machine import Machine
from edgepipe.pipeline import report as reports
from edgepipe.pipeline.report import RunReport

_MEND = "copy the report.json of a run that is good into artifacts/baselines"


@dataclass(frozen=True, kw_only=True)
class Baselines:
    """Earlier runs of the same pipeline, as far as there are any."""

    newest: RunReport | None = None
    """For counts and answers, which are the same on every machine."""
    here: RunReport | None = None
    """The newest of the same machine: for clocks, and for the memory of a process."""
    place: Path | None = None
    """Where they were looked for; None: nowhere."""
    machine: str = ""

    def why_none(self, *, same_machine: bool) -> str:
        """That there is no such baseline, and how to make one."""
        if self.place is None:
            return f"no baseline was given; {_MEND} and name that file or folder as the baseline"
        if same_machine and self.newest is not None:
            return (
                f"there is no baseline of this machine ({self.machine}) in {self.place}, and clocks"
                f" of another are not compared; {_MEND} after a run here"
            )
        return f"there is no baseline yet in {self.place}; {_MEND}"


NONE = Baselines()
"""No baseline was given."""


def read_all(place: Path | None, name: str) -> tuple[RunReport, ...]:
    """Every report of the pipeline ``name`` in the file or folder ``place``, the newest first.

    Nothing where there is no such place: a first run has no baseline yet. Raises UsageError for a
    report of another schema, and where ``place`` is a report of another pipeline; BundleError for
    one that is damaged.
    """
    if place is None or not place.exists():
        return ()
    if not place.is_dir():
        found = reports.read(place)
        if found.name != name:
            raise UsageError(
                f"{place} is a report of the pipeline {found.name!r}, no baseline of {name!r}"
            )
        return (found,)
    every = [reports.read(file) for file in sorted(place.glob("*.json"))]
    mine = [report for report in every if report.name == name]
    return tuple(sorted(mine, key=lambda report: report.created, reverse=True))


def choose(place: Path | None, earlier: Sequence[RunReport], machine: Machine) -> Baselines:
    """What a report from ``machine`` is compared with, of ``earlier`` reports, the newest first."""
    same = (report for report in earlier if report.machine.machine_id == machine.machine_id)
    return Baselines(
        newest=next(iter(earlier), None),
        here=next(same, None),
        place=place,
        machine=f"{machine.cpu}, {machine.cores} cores",
    )

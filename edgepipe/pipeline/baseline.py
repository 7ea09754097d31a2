"""The report to compare with: one file, or the newest that fits in a folder of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from edgepipe.errors import BundleError, UsageError
from edgepipe.measure.machine import Machine
from edgepipe.pipeline import report as reports
from edgepipe.pipeline.gate import BASELINE, Gate
from edgepipe.pipeline.report import RunReport

_MEND = "copy the report.json of a run that is good into artifacts/baselines"


@dataclass(frozen=True, kw_only=True)
class Baselines:
    """Earlier runs of the same pipeline, as far as there are any."""

    newest: RunReport | None = None
    """For counts and answers, which are the same on every machine."""
    here: RunReport | None = None
    """The newest of the same machine: for clocks, and for the memory of a process."""
    newest_path: Path | None = None
    here_path: Path | None = None
    place: Path | None = None
    """Where they were looked for; None: nowhere."""
    machine: str = ""
    late: int = 0
    """Reports of the pipeline in ``place`` that are no earlier than the one to judge."""

    def why_none(self, *, same_machine: bool) -> str:
        """That there is no such baseline, and how to make one."""
        if self.place is None:
            return f"no baseline was given; {_MEND} and name that file or folder as the baseline"
        if same_machine and self.newest is not None:
            return (
                f"there is no baseline of this machine ({self.machine}) in {self.place}, and clocks"
                f" of another are not compared; {_MEND} after a run here"
            )
        if self.late:
            return (
                f"none of the {self.late} in {self.place} is earlier than the report itself, so "
                f"there is no baseline yet; {_MEND} and run again"
            )
        return f"there is no baseline yet in {self.place}; {_MEND}"

    def named(self, *, same_machine: bool) -> str:
        """Which report decides: its file, its time, and for clocks its machine."""
        run = self.here if same_machine else self.newest
        path = self.here_path if same_machine else self.newest_path
        if run is None:
            return ""
        parts = [path.name] if path else []
        parts.append(f"of {run.created}")
        if same_machine:
            parts.append(f"of {_called(run.machine)}")
        return f"the baseline is {' '.join(parts)}"

    def shown(self, gates: Iterable[Gate]) -> RunReport | None:
        """The one to print beside these gates: that of their clocks if any is against it."""
        clocks = any(gate.tier == "clocks" and since_baseline(gate) for gate in gates)
        return self.here or self.newest if clocks else self.newest


NONE = Baselines()
"""No baseline was given."""


class _Found(NamedTuple):
    path: Path
    created: str


def since_baseline(gate: Gate) -> bool:
    """Whether the gate's figure needs an earlier report."""
    relative = getattr(gate, "max_ratio", 0) is not None
    return relative and getattr(gate, "against", "") == BASELINE


def find(
    place: Path | None, name: str, *, before: str, machine: Machine, strict: bool = True
) -> Baselines:
    """What a report of the pipeline ``name`` made at ``before`` is compared with.

    Only reports that were made strictly earlier, as ISO 8601 in UTC: none passes against itself.
    Nothing where there is no such place: a first run has no baseline yet. Raises UsageError for a
    report of another schema, and where ``place`` is a report of another pipeline or one that is not
    earlier; BundleError for one that is damaged. Files that are not needed are not validated.
    Without ``strict`` a file in the folder that cannot be read is passed over.
    """
    known = Baselines(place=place, machine=_called(machine))
    if place is None or not place.exists():
        return known
    if not place.is_dir():
        return _with(known, [(place, _earlier(place, name, before))], machine)
    found = _listed(place, name, strict=strict)
    early = [file for file in found if file.created < before]
    late = Baselines(place=place, machine=known.machine, late=len(found) - len(early))
    return _with(late, _read(early, strict=strict), machine)


def _with(
    known: Baselines, earlier: Iterable[tuple[Path, RunReport]], machine: Machine
) -> Baselines:
    """``known`` with the newest of ``earlier``, and with the newest of ``machine``."""
    newest: tuple[Path | None, RunReport | None] = (None, None)
    here = newest
    for path, report in earlier:
        newest = newest if newest[0] else (path, report)
        if report.machine.machine_id == machine.machine_id:
            here = (path, report)
            break
    return Baselines(
        newest=newest[1],
        newest_path=newest[0],
        here=here[1],
        here_path=here[0],
        place=known.place,
        machine=known.machine,
        late=known.late,
    )


def _earlier(file: Path, name: str, before: str) -> RunReport:
    """The report that was named; UsageError where it is no baseline of the one to judge."""
    report = reports.read(file)
    if report.name != name:
        raise UsageError(
            f"{file} is a report of the pipeline {report.name!r}, no baseline of {name!r}"
        )
    if report.created >= before:
        raise UsageError(
            f"{file} is of {report.created}, no earlier than the report to judge ({before}), so it"
            " is no baseline of it; name an earlier report, or swap the two"
        )
    return report


def _listed(folder: Path, name: str, *, strict: bool) -> list[_Found]:
    """The reports of the pipeline ``name``, the newest first, by what they say of themselves."""
    found = []
    for file in sorted(folder.glob("*.json")):
        head = _head(file)
        if head.get("name", name) != name:
            continue
        created = head.get("created")
        if head.get("schema") == reports.SCHEMA and isinstance(created, str):
            found.append(_Found(file, created))
        elif strict:
            reports.read(file)  # says what is wrong with it
    return sorted(found, key=lambda file: file.created, reverse=True)


def _head(file: Path) -> dict[str, Any]:
    """Nothing for what is no JSON object: it may have been of this pipeline."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _read(files: Iterable[_Found], *, strict: bool) -> Iterator[tuple[Path, RunReport]]:
    """One after the other, as they are asked for."""
    for file in files:
        try:
            report = reports.read(file.path)
        except (UsageError, BundleError):
            if strict:
                raise
            continue
        yield file.path, report


def _called(machine: Machine) -> str:
    return f"{machine.cpu}, {machine.cores} cores"

"""A judged report as Markdown, for a pull request or the summary of a CI job.

Texts, labels and names may be anybody's: none of them can break a table or become HTML, a link, a
mention or an image. See ``escape``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from edgepipe.measure.records import ValidationReport
from edgepipe.pipeline.gate import BASELINE
from edgepipe.pipeline.report import RunReport
from edgepipe.pipeline.verdict import Verdict
from edgepipe.present import models, words
from edgepipe.present.changes import Change, changes, missing
from edgepipe.present.escape import block, code, prose
from edgepipe.present.judged_by import NOTHING_SAID, JudgedBy
from edgepipe.present.remarks import doubts, remarks

LIMIT = 1_024_000
"""Bytes: GitHub takes 1,024 kB for a job's summary, and drops all of a longer one."""
FLIPS = 10
DETAILS = 20
_CUT = "*Cut here: the whole would be longer than a job summary may be. See the report.*"
_SIGNS = {"pass": "✅ pass", "fail": "❌ **fail**", "inconclusive": "⚠️ **inconclusive**"}
_ABOUT_CHANGES = (
    "For information: gates decide. Figures stand side by side only where they compare."
)


def markdown(
    report: RunReport,
    baseline: RunReport | None = None,
    *,
    again: str = "",
    by: JudgedBy = NOTHING_SAID,
    limit: int = LIMIT,
) -> str:
    """The verdict first, then the gates by tier, changes, flips and remarks; at most ``limit`` B.

    ``again`` is the command that judges once more, ``by`` names the files that were judged. Cut at
    the end of a line where it gets too long, and says so.
    """
    return _cut((*_lines(report, baseline), *_provenance(report, again, by)), limit)


def compared(report: RunReport, baseline: RunReport, *, limit: int = LIMIT) -> str:
    """What changed between two reports, without a verdict; at most ``limit`` bytes."""
    return _cut((f"## {code(report.name)}: compared", "", *_changes(report, baseline)), limit)


def _lines(report: RunReport, baseline: RunReport | None) -> Iterator[str]:
    yield from (f"## {code(report.name)}: {words.headline(report)}", "")
    yield from _bullets("Why the measurement doubts itself", doubts(report))
    yield from _gates(report.verdicts)
    yield from _models_table(report)
    if baseline is not None:
        yield from _changes(report, baseline)
    yield from _flips(report)
    yield from _bullets("Remarks", remarks(report))


def _gates(verdicts: Sequence[Verdict]) -> Iterator[str]:
    for tier, heading in words.TIERS.items():
        found = [verdict for verdict in verdicts if verdict.tier == tier]
        if found:
            yield from (f"### {heading}", "")
            yield from _table(("verdict", "gate", "found", "asked"), "llrr", map(_gate, found))
            yield from _reasons(found)


def _gate(verdict: Verdict) -> tuple[str, ...]:
    known = words.measure(verdict.measure)
    what = known if verdict.measure in words.MEASURES else code(known)
    what += f" ({prose(verdict.part)})" if verdict.part else ""
    return (
        _SIGNS[verdict.outcome],
        f"{_models(verdict)}: {what}",
        words.found(verdict),
        words.limit(verdict),
    )


def _models(verdict: Verdict) -> str:
    if not verdict.against:
        return code(verdict.of)
    against = "the baseline" if verdict.against == BASELINE else code(verdict.against)
    return f"{code(verdict.of)} against {against}"


def _reasons(verdicts: Iterable[Verdict]) -> Iterator[str]:
    """Why a gate did not pass, part by part; what is only noted of one that did."""
    for verdict in verdicts:
        passed = verdict.outcome == "pass"
        told = [text for text in (verdict.why, verdict.note) if text]
        parts = () if passed else verdict.details
        if not told and not parts:
            continue
        what = words.MEASURES.get(verdict.measure, "gate")
        yield f"- {_models(verdict)}, {what}: {'; '.join(map(prose, told)) or 'by parts'}"
        yield from (f"  - {prose(part)}" for part in parts[:DETAILS])
        if len(parts) > DETAILS:
            yield f"  - and {len(parts) - DETAILS} more"
    yield ""


def _models_table(report: RunReport) -> Iterator[str]:
    columns, rows = models.table(report)
    if rows:
        yield from ("### Models", "")
        named = ((code(name), *cells) for name, *cells in rows)
        yield from _table(columns, "l" + "r" * (len(columns) - 1), named)


def _changes(report: RunReport, baseline: RunReport) -> Iterator[str]:
    yield from ("### What changed since the baseline", "")
    machines = {report.machine.machine_id, baseline.machine.machine_id}
    where = "the same machine" if len(machines) == 1 else "another machine"
    yield (
        f"Baseline: {code(baseline.name)} of {code(baseline.created)}, edgepipe "
        f"{code(baseline.edgepipe)}, {where}. {_ABOUT_CHANGES}"
    )
    yield ""
    by_model: dict[str, list[Change]] = {}
    for change in changes(report, baseline):
        by_model.setdefault(change.model, []).append(change)
    for model, found in by_model.items():
        others = [change for change in found if not change.same]
        same = f"{len(found) - len(others)} of {len(found)} figures are the same."
        yield from (f"#### {code(model)}", "", same, "")
        if others:
            columns = ("figure", "before", "now", "difference")
            yield from _table(columns, "lrrr", map(_change, others))
    yield from (f"- {prose(line)}" for line in missing(report, baseline))
    yield ""


def _change(change: Change) -> tuple[str, ...]:
    difference = f"not compared: {prose(change.why)}" if change.why else change.difference
    return (prose(change.what), change.shown(change.before), change.shown(change.after), difference)


def _flips(report: RunReport) -> Iterator[str]:
    """A few of the texts that each candidate answers differently than its reference."""
    for measured in report.measured.values():
        if isinstance(measured, ValidationReport):
            for found in measured.comparisons:
                if found.flips:
                    few = found.flips[:FLIPS]
                    yield "<details>"
                    yield (
                        f"<summary>{found.flipped} of {found.examples} texts answered otherwise "
                        f"than by the reference; {len(few)} of them</summary>"
                    )
                    yield from ("", f"Candidate: {code(found.candidate)}", "")
                    yield from _table(
                        ("row", "text", "label", "reference", "candidate"), "rllll",
                        (
                            (str(f.row), code(f.text), code(f.label),
                             f"{code(f.reference)} {f.reference_confidence:.0%}",
                             f"{code(f.candidate)} {f.candidate_confidence:.0%}")
                            for f in few
                        ),
                    )  # fmt: skip
                    yield from ("</details>", "")


def _provenance(report: RunReport, again: str, by: JudgedBy) -> Iterator[str]:
    machine = report.machine
    yield from ("### How to reproduce", "")
    yield (
        f"Measured {code(report.created)} with edgepipe {code(report.edgepipe)} on "
        f"{code(machine.cpu)}, {machine.cores} cores, machine {code(machine.machine_id)}."
    )
    files = "; ".join(f"{what} {code(name)}" for what, name in by.facts())
    if files:
        yield from ("", f"Judged by: {files}.")
    if again:
        yield from ("", *block(again))


def _bullets(heading: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield from (f"### {heading}", "")
        yield from (f"- {prose(line)}" for line in lines)
        yield ""


def _table(columns: Sequence[str], sides: str, rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{'|'.join(':--' if side == 'l' else '--:' for side in sides)}|"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def _cut(lines: Iterable[str], limit: int) -> str:
    """As many whole lines as fit into ``limit`` bytes, with a note if that is not all."""
    tail = f"\n</details>\n\n{_CUT}\n"
    kept: list[str] = []
    size = fits = 0
    for line in lines:
        size += len(line.encode()) + 1
        if size + len(tail.encode()) <= limit:
            fits = len(kept) + 1
        kept.append(line)
        if size > limit:
            return _closed(kept[:fits], tail)
    return "\n".join(kept).rstrip("\n") + "\n"


def _closed(kept: Sequence[str], tail: str) -> str:
    opened = kept.count("<details>") > kept.count("</details>")
    end = tail if opened else tail.removeprefix("\n</details>\n")
    return "\n".join(kept) + "\n" + end

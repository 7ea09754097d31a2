"""Results as Markdown tables. No text that a tool said can break one: see ``present.escape``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from benchmarks.peers.figures import (
    KINDS,
    Failure,
    Found,
    Row,
    clocks,
    not_built,
    not_made,
    rows,
    table,
)
from benchmarks.peers.records import Ending, Environment, Results
from edgepipe.measure.records import BenchmarkReport, Speedup
from edgepipe.present.escape import code, prose

TOOLS = "tools"
SAME_FILE = ("same-file", "same-file-long")
RANDOM = ("bert-base", "small")
_ENDINGS = ("corrupt checkpoint", "corrupt ONNX file", "misspelt option")
_PACKAGES = (
    *("torch", "transformers", "optimum", "optimum-onnx", "optimum-intel", "olive-ai"),
    *("neural-compressor", "sentence-transformers", "fastembed", "onnxsim", "onnxscript"),
    *("onnx", "onnxruntime", "tokenizers", "numpy", "edgepipe"),
)
"""What decides about figures, in the order in which it is told."""
_NOTHING = "-"
_ABSENT = "Not measured.\n"
_LAST_LINE = 160
_COMMAND = 400
_MEGA = 1e6
_WIDE = "the ratio is known to"
"""In the remark on an interval that is wide: the table shows it."""
Cells = Sequence[str]
Columns = dict[str, Callable[[Row], str]]


def grid(columns: Cells, lines: Iterable[Cells], sides: str = "l") -> str:
    """A Markdown table; ``sides`` has l or r for the first columns, and the others are figures."""
    rules = [{"l": ":--", "r": "--:"}[side] for side in sides.ljust(len(columns), "r")]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (columns, rules, *lines)) + "\n"


def number(value: float) -> str:
    """Three significant digits, and whole numbers whole."""
    if value == int(value):
        return f"{value:,.0f}"
    for decimals, least in enumerate((99.95, 9.995, 0.9995, 0.09995)):
        if abs(value) >= least:
            return f"{value:,.{decimals}f}"
    return f"{value:.2g}"


def ratio(found: Speedup | Found | None) -> str:
    """A ratio and its interval: ``3.88 (3.80 to 3.96)``."""
    match found:
        case None:
            return ""
        case Speedup():
            return f"{found.ratio:.2f} ({found.interval.low:.2f} to {found.interval.high:.2f})"
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


def results_page(results: Results) -> str:
    """Every table and nothing else: what stands beside the JSON file."""
    failures = crashes(results)
    parts = (
        ("Beside every peer", provenance(results)),
        ("The tools", tools(results)),
        ("What was typed", calls(results)),
        ("Runtimes on the same file", same_file(results)),
        ("Other shapes", shapes(results)),
        ("How each tool ends", endings(results)),
        ("What else failed", failures),
        ("Environments", environments(results)),
    )
    return "\n".join(f"## {title}\n\n{text}" for title, text in parts if text)


def provenance(results: Results) -> str:
    """When, with what and on what these figures were taken."""
    machine = results.machine
    held = [f"{name} {machine.packages[name]}" for name in _PACKAGES if name in machine.packages]
    told = (
        f"Measured {prose(results.date)} with edgepipe {prose(results.edgepipe)} on "
        f"{prose(machine.cpu)}, {machine.cores} cores ({prose(', '.join(machine.features))}), "
        f"{prose(machine.system)}, Python {prose(machine.python)}, {prose(', '.join(held))}; "
        f"machine `{machine.machine_id}`, teacher {code(results.teacher[:16])}; "
        f"the whole run took {results.seconds / 60:.0f} minutes.\n"
    )
    if not results.quick:
        return told
    return (
        f"**A quick run: it shows that everything works, and its figures mean nothing.**\n\n{told}"
    )


def tools(results: Results) -> str:
    """Speed, accuracy and cost of every tool, a table each with the same rows, and the crashes."""
    found = rows(results, TOOLS)
    notes = Notes(found)
    parts = [
        "### Speed\n",
        _rows(found, _SPEED, notes),
        _about_clocks(results, TOOLS),
        "### Accuracy\n",
        _rows(found, _ACCURACY, notes),
        "### Cost\n",
        _rows(found, _COST, notes),
        notes.listed(),
    ]
    return "\n".join(part for part in parts if part)


def overview(results: Results) -> str:
    """For the README: the row of each tool that answers single texts fastest, a kind each."""
    best: dict[tuple[str, str], Row] = {}
    for row in rows(results, TOOLS):
        if row.times is not None and row.kind != KINDS[0]:
            best.setdefault((row.recipe.tool, row.kind), row)
    reference = [row for row in rows(results, TOOLS) if row.is_reference]
    found = [*reference, *sorted(best.values(), key=lambda row: row.ratio)]
    return grid(("", *_OVERVIEW), [_cells(row, _OVERVIEW, Notes(found)) for row in found])


def calls(results: Results) -> str:
    """What was typed to make each row of the main table, and what answers."""
    lines = [
        (
            named(row),
            code(row.recipe.call, longest=_COMMAND),
            f"{prose(row.arm.tool)}, {prose(row.arm.load)}",
        )
        for row in rows(results, TOOLS)
    ]
    return grid(("row", "made by", "answered by"), lines, "lll")


def same_file(results: Results) -> str:
    """Runtimes on one and the same ONNX file, for each of the tables that ran."""
    found = [_timed(results, name, _RUNTIME) for name in SAME_FILE]
    return "\n".join(part for part in found if part) or _ABSENT


def shapes(results: Results) -> str:
    """The speed of models whose weights are random."""
    found = [_timed(results, name, _SPEED, said="Random weights: speed only.") for name in RANDOM]
    return "\n".join(part for part in found if part) or _ABSENT


def _timed(results: Results, name: str, columns: Columns, *, said: str = "") -> str:
    lined_up, found = table(results, name), rows(results, name)
    if lined_up is None:
        return ""
    notes = Notes(found)
    intro = f"{said}\n" if said else ""
    parts = (
        f"### {prose(lined_up.title)}\n",
        intro,
        _rows(found, columns, notes),
        _about_clocks(results, name),
        notes.listed(),
    )
    return "\n".join(part for part in parts if part)


def endings(results: Results) -> str:
    """How each tool ended when something was wrong: exit code, what was left, last line."""
    if not results.endings:
        return _ABSENT
    names = sorted({ending.tool for ending in results.endings})
    lines = []
    for name in names:
        mine = [ending for ending in results.endings if ending.tool == name]
        cells = ("<br>".join(_ending(e) for e in mine if e.what == what) for what in _ENDINGS)
        lines.append((prose(name), *(cell or _NOTHING for cell in cells)))
    return grid(("tool", *_ENDINGS), lines, "llll")


def _ending(ending: Ending) -> str:
    found = f"exit {ending.exit_code}" if ending.exit_code else "**exit 0**"
    kept = ", ".join(map(code, ending.left))
    left = f"left {kept}" if kept else "nothing left"
    return f"{found}, {left}: {_last_line(ending.said)}"


def environments(results: Results) -> str:
    """What each environment holds, and what it takes."""
    lines = [
        (prose(found.name), number(found.bytes / _MEGA), number(found.seconds), _versions(found))
        if not found.failed
        else (prose(found.name), "not built", number(found.seconds), _last_line(found.failed))
        for found in results.environments
    ]
    head = ("environment", "MB", "built in (s)", "versions")
    return grid(head, lines, "lrrl")


def _versions(found: Environment) -> str:
    held = {_plain(name): version for name, version in found.packages.items()}
    told = [f"{name} {held[name]}" for name in _PACKAGES if name in held]
    return prose(", ".join(told)) if told else _NOTHING


def _plain(name: str) -> str:
    """A distribution's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def crashes(results: Results) -> str:
    """What failed without being a row of any table: recipes that others were to start from."""
    told = {row.failure for found in results.tables for row in rows(results, found.name)}
    failures = [
        *(not_made(made) for made in results.made if made.failed),
        *(not_built(found) for found in results.environments if found.failed),
    ]
    return "".join(f"* {_told(failure)}\n" for failure in failures if failure not in told)


class Notes:
    """Numbered notes below a table: what crashed, equal crashes told once."""

    def __init__(self, found: Sequence[Row]) -> None:
        self._failures = list(dict.fromkeys(row.failure for row in found if row.failure))

    def cell(self, failure: Failure) -> str:
        """What stands where a figure would."""
        return f"{failure.word}, note {self._failures.index(failure) + 1}"

    def listed(self) -> str:
        """The notes; empty when there are none."""
        return "".join(f"{n}. {_told(failure)}\n" for n, failure in enumerate(self._failures, 1))


def _told(failure: Failure) -> str:
    command = f" of {code(failure.command, longest=_COMMAND)}" if failure.command else ""
    return f"{prose(failure.ended)}{command}: {_last_line(failure.said)}"


def _last_line(said: str) -> str:
    found = [line for line in said.splitlines() if line.strip()]
    return code(found[-1], longest=_LAST_LINE) if found else "no word of why"


def _rows(found: Sequence[Row], columns: Columns, notes: Notes) -> str:
    """The rows by kind, with a line above each kind where there is more than one."""
    groups = [(key, list(some)) for key, some in groupby(found, lambda r: r.kind)]
    lines: list[Cells] = []
    for kind, some in groups:
        if len(groups) > 1:
            lines.append((f"**{kind}**", *[""] * len(columns)))
        lines += [_cells(row, columns, notes) for row in some]
    return grid(("", *columns), lines)


def _cells(row: Row, columns: Columns, notes: Notes) -> Cells:
    """A row's cells; the crash, if there was one, in the first cell that is empty for it."""
    found = [cell(row) for cell in columns.values()]
    if row.failure is not None and "" in found:
        found[found.index("")] = notes.cell(row.failure)
    return (named(row), *(cell or _NOTHING for cell in found))


def named(row: Row) -> str:
    """A row's name, safe in Markdown."""
    return code(row.arm.name)


def _about_clocks(results: Results, name: str) -> str:
    """How the times were taken, and how far they may be trusted."""
    timed = clocks(results, name)
    if timed is None:
        return "Not timed.\n"
    report = timed.report
    texts = results.texts.get(name, "")
    lines = [f"Texts: {prose(texts)}."] if texts else []
    beside_itself = (
        f"The reference beside another process of itself (A/A): {ratio(report.control)}."
    )
    lines.append(f"{_clock(report)} {beside_itself}")
    lines += [f"**Doubt:** {prose(text)}" for text in report.doubts]
    lines += [prose(text) for text in report.remarks if _WIDE not in text]
    return "".join(f"* {line}\n" for line in lines)


def _clock(report: BenchmarkReport) -> str:
    threads = "one thread" if report.threads == 1 else f"{report.threads} threads"
    rounds = len(report.control.log_ratios)
    clock = "CPU time" if report.clock == "cpu" else "wall time"
    return (
        f"Ratios of {clock}, {threads}, {rounds} rounds of fresh processes, "
        f"{report.batch:,} texts in a throughput call."
    )


def _single(row: Row) -> str:
    return "1" if row.is_reference and row.times else ratio(row.single)


def _many(row: Row) -> str:
    return "1" if row.is_reference and row.many_ratio else ratio(row.many)


def _throughput(row: Row) -> str:
    return "" if row.times is None else _known(row.times.texts_per_cpu_second or None)


def _accuracy(row: Row) -> str:
    found = row.accuracy
    if found is None:
        return ""
    low, high = found.interval.low, found.interval.high
    return f"{100 * found.accuracy:.2f} ({100 * low:.2f} to {100 * high:.2f})"


def _lost(row: Row) -> str:
    found = row.accuracy
    if found is None or row.is_reference:
        return "" if found is None else _NOTHING
    low, high = found.drop_interval.low, found.drop_interval.high
    return f"{100 * found.drop:+.2f} ({100 * low:+.2f} to {100 * high:+.2f})"


def _flips(row: Row) -> str:
    found = row.accuracy
    if found is None or row.is_reference:
        return "" if found is None else _NOTHING
    share = found.flips / max(1, found.examples)
    return f"{found.flips} of {found.examples:,} ({100 * share:.2f} %)"


def _known(value: float | None) -> str:
    return "" if value is None else number(value)


_SPEED: Columns = {
    "single text: times as fast (95 %)": _single,
    "p50 (ms)": lambda row: _known(row.times.p50_ms if row.times else None),
    "p90 (ms)": lambda row: _known(row.times.p90_ms if row.times else None),
    "many texts: times as fast (95 %)": _many,
    "texts per CPU second": _throughput,
}
_ACCURACY: Columns = {
    "accuracy, % (95 %)": _accuracy,
    "lost against torch, points (95 %)": _lost,
    "answers that differ from torch's": _flips,
}
_LOADED: Columns = {
    "cold start (s)": lambda row: _known(row.cold_s),
    "peak memory (MB)": lambda row: _known(row.peak_mb),
    "installed (MB)": lambda row: _known(row.installed_mb),
}
_COST: Columns = {
    **_LOADED,
    "files (MB)": lambda row: _known(row.files_mb),
    "made in (s)": lambda row: _known(row.made_s),
    "lines to make": lambda row: _known(row.lines_to_make),
    "lines to answer": lambda row: _known(row.lines_to_answer),
}
_OVERVIEW: Columns = {
    "single text (95 %)": _single,
    "many texts (95 %)": _many,
    "points lost (95 %)": _lost,
    "cold start (s)": lambda row: _known(row.cold_s),
    "installed (MB)": lambda row: _known(row.installed_mb),
    "files (MB)": lambda row: _known(row.files_mb),
}
_RUNTIME: Columns = {**_SPEED, **_LOADED}

r"""Which session options stand in a bundle, which the runtime sets, and what each is worth.

    python benchmarks/gate/session_options.py --bundle artifacts/movie-reviews/bundle

One at a time is left out of the full set, and that is timed beside the full set and beside a plain
session, by the project's own interleaved measuring: fresh processes, blocks in random order, CPU
time of the calling thread with one thread, wall time with two. "Worth" is the time without it over
the time with it: 1.10 makes the bundle 10 % faster. Options that were not taken stand below, with
what they would be worth. Nodes are those that run after onnxruntime's optimizers.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from session_arms import Arrangement, arm, arranged, arrangements, has_sum, settings

from edgepipe import __version__, disk
from edgepipe.measure.executed import executed
from edgepipe.measure.latency import compare
from edgepipe.measure.machine import machine
from edgepipe.measure.records import ArmTimes, Speedup
from edgepipe.measure.rounds import Budget, Conditions, Texts
from edgepipe.measure.subject import subject
from edgepipe.runtime.session import SessionPlan, effective_settings

ROOT = Path(__file__).resolve().parents[2]
REVIEWS = ROOT / "pipelines" / "data" / "movie-reviews" / "validation.jsonl"
_TOKENS = 32
_MEANING = (
    "Time without the option, or with what was not taken, over the time of the full set, and its "
    "95 % interval: above 1 the full set is faster. With one thread the clock is CPU time, with "
    "two wall time."
)
_THREADS = (1, 2)


def measured(given: argparse.Namespace, variant: str, threads: int) -> list[dict[str, Any]]:
    """A row for each arrangement, the full set first."""
    with tempfile.TemporaryDirectory(dir=given.scratch) as scratch:
        options = settings(given.bundle, variant)
        sums = has_sum(given.bundle, variant)
        wanted = list(arrangements(options, threads=threads, has_sum=sums))
        folders = [
            arranged(given.bundle, variant, one, Path(scratch) / str(number))
            for number, one in enumerate(wanted)
        ]
        arms = [
            arm(one, folder, variant, threads) for one, folder in zip(wanted, folders, strict=True)
        ]
        budget = Budget(
            rounds=given.rounds, round_seconds=given.round_seconds, seconds=given.seconds
        )
        conditions = Conditions(threads=threads, seed=given.seed, budget=budget)
        texts = Texts(_texts(given.texts))
        told = compare(arms[0], arms[1:], texts, conditions, _progress(variant, threads))
        nodes = [_nodes(folder, variant, one) for one, folder in zip(wanted, folders, strict=True)]
    times = (told.reference, *told.candidates)
    rows = [_row(o, t, n, nodes[0]) for o, t, n in zip(wanted, times, nodes, strict=True)]
    for row, speedup in zip(rows[1:], told.speedups, strict=True):
        row.update(_worth(speedup))
    rows[0].update(sentinel=_worth(told.control), doubts=list(told.doubts))
    return rows


def _texts(count: int) -> list[str]:
    lines = REVIEWS.read_text(encoding="utf-8").splitlines()[:count]
    return [str(json.loads(line)["text"]) for line in lines]


def _progress(variant: str, threads: int) -> Any:
    def told(done: int, total: int, message: str) -> None:
        print(f"{variant}, {threads} threads: {done} of {total}: {message}", file=sys.stderr)

    return told


def _nodes(folder: Path, variant: str, wanted: Arrangement) -> dict[str, int]:
    found = executed(subject(folder, variant), _TOKENS, device="cpu", plain=wanted.plain)
    return found["CPUExecutionProvider"]


def _row(
    wanted: Arrangement, times: ArmTimes, nodes: dict[str, int], full: dict[str, int]
) -> dict[str, Any]:
    names = sorted(nodes.keys() | full.keys())
    changed = {name: [full.get(name, 0), nodes.get(name, 0)] for name in names}
    return {
        "name": wanted.name,
        "stands": wanted.stands,
        "p50_ms": times.p50_ms,
        "cpu_p50_ms": times.cpu_p50_ms,
        "nodes": sum(nodes.values()),
        "changed": {name: pair for name, pair in changed.items() if pair[0] != pair[1]},
    }


def _worth(speedup: Speedup) -> dict[str, float]:
    """Time of this arm over the full set's, with its 95 % interval."""
    return {
        "ratio": 1 / speedup.ratio,
        "low": 1 / speedup.interval.high,
        "high": 1 / speedup.interval.low,
    }


def standing(bundle: Path, variant: str) -> dict[str, Any]:
    """What the manifest says, and what the runtime makes of it."""
    asked = subject(bundle, variant)
    plan = SessionPlan(asked.file, asked.graph.session, "cpu", 1)
    return {"manifest": settings(bundle, variant), "runtime": effective_settings(plan)}


def markdown(record: dict[str, Any]) -> str:
    """The tables, and where they are from."""
    where = record["machine"]
    source = (
        f"*{where['cpu']}, {where['cores']} cores, onnxruntime "
        f"{where['packages'].get('onnxruntime', '-')}, {record['date']}; bundle "
        f"{record['bundle']}; `{record['script']}`*"
    )
    lines = [source, "", _MEANING]
    for variant, found in record["figures"].items():
        lines += ["", f"## {variant}", "", f"In the manifest: {_said(found['manifest'])}", ""]
        lines += [f"Set by the runtime: {_said(found['runtime'])}"]
        for threads, rows in found["threads"].items():
            lines += ["", f"### {threads} {'thread' if threads == '1' else 'threads'}", ""]
            lines += _table(rows)
    return "\n".join([*lines, ""])


def _said(options: dict[str, Any]) -> str:
    return f"`{json.dumps(options, sort_keys=True)}`"


def _table(rows: Sequence[dict[str, Any]]) -> list[str]:
    head = ["arrangement", "stands in", "time over the full set's", "wall", "CPU", "nodes"]
    lines = [_line(head), _line(["---"] * len(head))]
    for row in rows:
        changed = ", ".join(f"{n} {a} → {b}" for n, (a, b) in row["changed"].items())
        nodes = f"{row['nodes']}{': ' if changed else ''}{changed}"
        clocks = (f"{row['p50_ms']:.2f} ms", f"{row['cpu_p50_ms']:.2f} ms")
        ratio = _interval(row) if "ratio" in row else "1"
        lines.append(_line([row["name"], row["stands"] or "-", ratio, *clocks, nodes]))
    lines += ["", f"The full set beside itself: {_interval(rows[0]['sentinel'])}."]
    return [*lines, *(f"Doubt: {doubt}." for doubt in rows[0]["doubts"])]


def _interval(found: dict[str, float]) -> str:
    return f"{found['ratio']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Measure and write down."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--variants", nargs="+", default=["int8", "fp32"])
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--round-seconds", type=float, default=12.0)
    parser.add_argument("--seconds", type=float, default=180.0, help="of one table")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scratch", type=Path, help="where copies of the bundle go for the while")
    parser.add_argument("--name", default="gate-session-options")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    given = parser.parse_args()
    figures = {
        variant: {
            **standing(given.bundle, variant),
            "threads": {str(n): measured(given, variant, n) for n in _THREADS},
        }
        for variant in given.variants
    }
    record = {
        "script": "benchmarks/gate/session_options.py",
        "arguments": {k: v for k, v in vars(given).items() if not isinstance(v, Path)},
        "bundle": json.loads((given.bundle / "edgepipe.json").read_text())["name"],
        "bundle_digest": disk.sha256(given.bundle / "edgepipe.json"),
        "date": datetime.now(UTC).date().isoformat(),
        "edgepipe": __version__,
        "machine": machine().model_dump(mode="json"),
        "figures": figures,
    }
    disk.write_json(given.out / f"{given.name}.json", record)
    disk.write_text(given.out / f"{given.name}.md", markdown(record))
    print(markdown(record))


if __name__ == "__main__":
    main()

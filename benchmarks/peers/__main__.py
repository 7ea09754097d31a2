"""Beside every peer: ``python -m benchmarks.peers`` runs the whole comparison.

``make bench`` and ``make bench-quick`` call it. Everything that is finished lies in ``--work``: an
interrupted run goes on where it was. The results go to ``--out``, a JSON file and the tables drawn
from it.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.peers import models
from benchmarks.peers.comparison import Comparison, Data
from benchmarks.peers.entries import FULL, QUICK
from benchmarks.peers.environments import ROOT
from benchmarks.peers.lineup import Lineup
from benchmarks.peers.records import Results
from benchmarks.peers.tables import results_page
from benchmarks.peers.texts import rows
from benchmarks.peers.work import Work
from edgepipe import __version__, disk
from edgepipe.errors import EdgepipeError, ExitCode, UsageError
from edgepipe.measure.machine import machine

REVIEWS = ROOT / "pipelines" / "data" / "movie-reviews"
_DRAWN = ("again", "ahead", "figures", "goals", "lines", "page", "page.md", "tables")
"""Files that figures do not depend on."""
_FOR_ALL = {
    "PYTHONPATH": str(ROOT),
    "PYTHONWARNINGS": "ignore",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "OLIVE_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


def main() -> int:
    """The exit code of a whole comparison."""
    given = _parser().parse_args()
    below = ROOT / "artifacts"
    given.work = given.work or below / ("peers-quick" if given.quick else "peers")
    given.out = given.out or (given.work if given.quick else ROOT / "benchmarks" / "results")
    for name in ("work", "out", "checkpoint", "data", "environments", "artifacts"):
        if getattr(given, name):  # tools work in folders of their own
            setattr(given, name, getattr(given, name).resolve())
    os.environ.update(_FOR_ALL)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(given.work / "inductor")
    # a plain "kill" ends the children and keeps what is finished, like Ctrl-C
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        results = compare(given)
    except EdgepipeError as error:
        print(f"error: {error}", file=sys.stderr)
        return int(error.exit_code)
    except KeyboardInterrupt:
        print(f"interrupted: the same command goes on with {given.work}", file=sys.stderr)
        return int(ExitCode.INTERRUPTED)
    results.write(given.out / "peers.json")
    disk.write_text(given.out / "peers.md", results_page(results))
    print(given.out / "peers.md")
    return _rotten(results) if given.quick else int(ExitCode.OK)


def _rotten(results: Results) -> int:
    """The exit code of a quick run: nothing of it may break, as a peer may in a whole one."""
    crashes = [crash for clocks in results.clocks for crash in clocks.crashes]
    for crash in crashes:
        print(f"error: {crash.arm}: {crash.why}", file=sys.stderr)
    return int(ExitCode.STAGE if crashes else ExitCode.OK)


def compare(given: argparse.Namespace) -> Results:
    """Everything has been measured, or kept from an earlier run in the same folder."""
    begin = time.monotonic()
    lineup = _wanted(QUICK if given.quick else FULL, given.table)
    data = Data(train=given.data / "train.jsonl", test=given.data / "test.jsonl")
    for file in (data.train, data.test):
        rows(file)  # refused now, and not after the teacher is trained
    checkpoints = _checkpoints(given, lineup)
    teacher = checkpoints[lineup.models()[0]]
    about = {
        "checkpoint": disk.digest(teacher),
        "texts": f"{disk.sha256(data.train)} {disk.sha256(data.test)}",
        "seed": str(given.seed),
        "line-up": hashlib.sha256(repr(lineup).encode()).hexdigest(),
        "code": _code(),
        "packages": hashlib.sha256(repr(machine().packages).encode()).hexdigest(),
    }
    work = Work(given.work, about, begin)
    run = Comparison(
        lineup=lineup,
        work=work,
        data=data,
        checkpoints=checkpoints,
        environments=given.environments,
        seed=given.seed,
        say=_say,
    )
    first, *others = lineup.tables
    built = run.build()
    made = run.make()
    accurate, broken = run.accuracy(first)
    endings = run.endings()
    times = (run.clocks(first, broken), *(run.clocks(table) for table in others))
    return Results(
        date=work.begun,
        edgepipe=__version__,
        quick=given.quick,
        machine=machine(),
        seconds=work.spent(),
        teacher=about["checkpoint"],
        texts={table.name: run.about_texts(table) for table in lineup.tables},
        recipes=lineup.recipes,
        tables=lineup.tables,
        environments=built,
        made=made,
        accuracy=accurate,
        clocks=times,
        endings=endings,
        answering=run.answering(),
    )


def _wanted(lineup: Lineup, names: Sequence[str]) -> Lineup:
    """The tables of these names, or all; UsageError for a name that there is not."""
    known = [table.name for table in lineup.tables]
    for name in names:
        if name not in known:
            raise UsageError(f"there is no table {name!r}, but {', '.join(known)}")
    tables = tuple(table for table in lineup.tables if not names or table.name in names)
    return replace(lineup, tables=tables)


def _checkpoints(given: argparse.Namespace, lineup: Lineup) -> dict[str, Path]:
    """A folder for every model of the line-up; those with random weights are made here."""
    for name in ("config.json", "tokenizer.json") if given.checkpoint else ():
        if not (given.checkpoint / name).is_file():
            raise UsageError(
                f"{given.checkpoint} has no {name}: --checkpoint wants a folder that "
                "from_pretrained reads, with config.json and tokenizer.json"
            )
    found: dict[str, Path] = {}
    if given.checkpoint or not given.quick:
        found["movie-reviews"] = given.checkpoint or models.teacher(given.artifacts)
    source = found.get("movie-reviews", given.data)
    for table in lineup.tables:
        if table.model not in found:
            folder = given.work / "models" / table.model
            models.random_model(table.model, source, folder, seed=given.seed)
            found[table.model] = folder
    return found


def _code() -> str:
    """Of all that figures depend on: pins, tools, the harness and edgepipe itself."""
    here = ROOT / "benchmarks" / "peers"
    files = [*(ROOT / "edgepipe").rglob("*.py")]
    for kind in ("*.py", "*.toml", "*.txt"):
        files += [file for file in here.rglob(kind) if file.stem not in _DRAWN]
    lines = (f"{disk.sha256(file)} {file.relative_to(ROOT)}" for file in sorted(files))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _say(text: str) -> None:
    now = datetime.now(UTC).time().isoformat("seconds")
    print(f"{now} {text}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    below = ROOT / "artifacts"
    parser.add_argument("--quick", action="store_true", help="a small part, from scratch")
    some = "one table of it; may stand several times"
    parser.add_argument("--table", action="append", default=[], metavar="NAME", help=some)
    parser.add_argument("--work", type=Path, help="default: artifacts/peers, or peers-quick")
    parser.add_argument("--out", type=Path, help="default: benchmarks/results, or the work folder")
    parser.add_argument("--checkpoint", type=Path, help="a fine-tuned classifier of your own")
    parser.add_argument("--data", type=Path, default=REVIEWS, help="train.jsonl and test.jsonl")
    parser.add_argument("--environments", type=Path, default=ROOT / ".venv-peers")
    parser.add_argument(
        "--artifacts", type=Path, default=below, help="the teacher's runs and cache"
    )
    parser.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())

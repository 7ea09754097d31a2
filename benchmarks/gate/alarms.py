r"""False alarms and misses of a latency gate, measured.

    python benchmarks/gate/alarms.py --bundle artifacts/movie-reviews/bundle --condition idle
    python benchmarks/gate/alarms.py --bundle artifacts/movie-reviews/bundle --condition loaded
    python benchmarks/gate/alarms.py --bundle artifacts/movie-reviews/bundle --condition none

A model against itself, and against itself made 5, 10 and 20 % slower (``slow_worker.py``), judged
by a gate of ``max_slowdown = 0.05`` at 95 %: ``--gates`` live gates a slow-down and condition, in
turn, each at most 60 s. ``loaded`` keeps every core busy with a process of normal priority. Each
gate is appended to ``--work`` at once, so an interrupted run continues where it was.

Then 2,000 gates a slow-down and condition are resampled from what was recorded. One gate draws
process rounds with replacement from those of all live gates of its kind, and within each as many
blocks with replacement as the round has, candidate and sentinel together; it looks after the
fourth round and after every further one, and ends, by the very rules of a live gate: decided, at
the limit, or after as many rounds as fit into 60 s at the median pace of its kind. So it knows
noise between blocks and between processes, and none between minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from alarms_again import LIMIT, RULE, Gate
from alarms_table import publish

from edgepipe.measure.child import Arm, onnx_arm
from edgepipe.measure.latency import GATE, compare, report
from edgepipe.measure.rounds import Conditions, Texts
from edgepipe.pipeline.judge import judge

_BUSY = """
import os
parent = os.getppid()
while os.getppid() == parent:
    for number in range(1_000_000):
        number * number
"""
ROOT = Path(__file__).resolve().parents[2]
REVIEWS = ROOT / "pipelines" / "data" / "movie-reviews" / "validation.jsonl"
SLOWER = (0.0, 0.05, 0.1, 0.2)


def main() -> int:
    """Run what is missing of the live gates, resample, print and write the table."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--bundle", type=Path, required=True)
    made.add_argument("--variant", default="int8")
    made.add_argument("--texts", type=Path, default=REVIEWS)
    made.add_argument("--condition", choices=("idle", "loaded", "both", "none"), default="both")
    made.add_argument("--gates", type=int, default=40)
    made.add_argument("--resamples", type=int, default=2000)
    made.add_argument("--work", type=Path, default=ROOT / "artifacts" / "gate-alarms.jsonl")
    made.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    given = made.parse_args()
    if given.condition in ("idle", "both"):
        live(given, "idle")
    if given.condition in ("loaded", "both"):
        with busy_cores():
            live(given, "loaded")
    publish(recorded(given.work), given)
    return 0


def live(given: argparse.Namespace, condition: str) -> None:
    """The work file holds ``--gates`` gates of every slow-down in this condition."""
    texts = sample(given.texts)
    have = {(g.slower, g.number) for g in recorded(given.work) if g.condition == condition}
    wanted = [(slower, number) for number in range(given.gates) for slower in SLOWER]
    for slower, number in wanted:
        if (slower, number) not in have:
            gate = one_gate(given, texts, condition, slower, number)
            with given.work.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(asdict(gate)) + "\n")
            say = f"{condition} {slower:.0%} {number + 1}/{given.gates}: {gate.outcome}"
            print(f"{say}, {gate.seconds:.1f} s", file=sys.stderr, flush=True)


def one_gate(
    given: argparse.Namespace, texts: Texts, condition: str, slower: float, number: int
) -> Gate:
    """One measurement, and the verdict of the gate itself on its report."""
    load = os.getloadavg()[0]
    conditions = Conditions(seed=number, budget=GATE)
    arms = [arm(given, "reference", 0.0), arm(given, RULE.of, slower)]
    measured = compare(arms[0], arms[1:], texts, conditions, limits=[LIMIT])
    speed = report(measured, texts, conditions, data="", split="validation")
    (verdict,) = judge([RULE], {"speed": speed})
    return Gate(
        condition=condition,
        slower=slower,
        number=number,
        outcome=verdict.outcome,
        seconds=measured.seconds,
        load=load,
        log_ratios=rounded(measured.speedups[0].log_ratios),
        control=rounded(measured.control.log_ratios),
        doubts=list(measured.doubts),
    )


def arm(given: argparse.Namespace, name: str, slower: float) -> Arm:
    """The model as it is, or made slower."""
    plain = onnx_arm(name, given.bundle, variant=given.variant, device="cpu", threads=1)
    if not slower:
        return plain
    script = Path(__file__).with_name("slow_worker.py")
    model = ("--model", str(given.bundle), "--variant", given.variant)
    return replace(plain, command=(sys.executable, str(script), *model, "--slower", str(slower)))


def sample(file: Path) -> Texts:
    """200 texts, drawn once for all gates."""
    found = [str(json.loads(line)["text"]) for line in file.read_text("utf-8").splitlines()]
    return Texts(random.Random(0).sample(found, 200))  # noqa: S311 (reproducible, no secret)


def rounded(log_ratios: Sequence[Sequence[float]]) -> list[list[float]]:
    """To 0.0001 %, which keeps the work file small."""
    return [[round(value, 6) for value in blocks] for blocks in log_ratios]


def recorded(work: Path) -> list[Gate]:
    """Every gate in the work file; a line that an interruption cut short is left out."""
    found = []
    for line in work.read_text("utf-8").splitlines() if work.exists() else ():
        try:
            found.append(Gate(**json.loads(line)))
        except ValueError:
            continue
    return found


@contextmanager
def busy_cores() -> Iterator[None]:
    """Every core has one process of normal priority that never rests, until this one ends."""
    command = [sys.executable, "-c", _BUSY]
    with ExitStack() as stack:
        for _ in range(os.cpu_count() or 1):
            spinner = stack.enter_context(subprocess.Popen(command))
            stack.callback(spinner.kill)
        yield


if __name__ == "__main__":
    raise SystemExit(main())

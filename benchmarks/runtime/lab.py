"""What the scripts beside this one share: real texts, interleaved timing, records of results."""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from edgepipe import __version__, disk
from edgepipe.measure.child import Arm, Batch, Child, running
from edgepipe.measure.machine import machine
from edgepipe.measure.statistics import TWO_SIDED, ratio_bounds, ratio_estimate

ROOT = Path(__file__).resolve().parents[2]
REVIEWS = ROOT / "pipelines" / "data" / "movie-reviews" / "train.jsonl"
MOST_JOINED = 8
_WARM_UP = 32
Clock = Literal["cpu", "wall"]


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options of every script here."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--bundle", type=Path, required=True)
    made.add_argument("--variant", default="auto")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--name", help="of the result files; the script's own by default")
    made.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    return made


def reviews(count: int, *, seed: int) -> list[str]:
    """``count`` different real sentences in random order, of the movie reviews' training split."""
    lines = REVIEWS.read_text(encoding="utf-8").splitlines()
    texts = [str(json.loads(line)["text"]) for line in lines]
    if count > len(texts):
        raise SystemExit(f"there are {len(texts)} reviews, not {count}")
    return random.Random(seed).sample(texts, count)  # noqa: S311 (reproducible, no secret)


def joined(count: int, *, seed: int) -> list[str]:
    """``count`` texts of 1 to 8 real sentences, k of them with a chance in proportion to 1/k²."""
    draw = random.Random(seed)  # noqa: S311 (reproducible, no secret)
    sizes = range(1, MOST_JOINED + 1)
    pool = reviews(5000, seed=seed)
    counts = draw.choices(sizes, [1 / k**2 for k in sizes], k=count)
    return [" ".join(draw.sample(pool, k)) for k in counts]


@dataclass(frozen=True)
class Timed:
    """What the arms took: ``batches[round][block][arm]``."""

    arms: tuple[str, ...]
    clock: Clock
    batches: list[list[list[Batch]]]

    def seconds(self, arm: int) -> list[float]:
        """Of every round, over all its blocks."""
        return [sum(_ns(block[arm], self.clock) for block in told) / 1e9 for told in self.batches]

    def speedup(self, slower: int, faster: int) -> dict[str, float | int]:
        """How many times faster an arm is, with its two-sided 95 % interval over processes."""
        logs = [
            [math.log(_ns(b[slower], self.clock) / _ns(b[faster], self.clock)) for b in told]
            for told in self.batches
        ]
        bounds = ratio_bounds(logs, confidence=TWO_SIDED)
        center, _ = ratio_estimate(logs)
        return {
            "ratio": math.exp(center),
            "low": bounds.low,
            "high": bounds.high,
            "rounds": len(logs),
        }


def _ns(batch: Batch, clock: Clock) -> int:
    return max(1, batch.cpu_ns if clock == "cpu" else batch.wall_ns)


def interleaved(
    arms: Sequence[Arm], rounds: Sequence[Sequence[Sequence[str]]], *, clock: Clock, seed: int
) -> Timed:
    """Every arm answers every block of texts, in fresh processes a round, in random order.

    CPU time is that of the thread that calls, so it wants arms of one thread. Before each block an
    arm answers some texts untimed, since another one had the core and its caches meanwhile.
    """
    order = random.Random(seed)  # noqa: S311 (reproducible, no secret)
    told = []
    for number, blocks in enumerate(rounds, 1):
        print(f"round {number} of {len(rounds)}", file=sys.stderr, flush=True)
        with ExitStack() as stack:
            children = [stack.enter_context(running(arm, threads=1)) for arm in arms]
            for child in children:
                child.load("thread")
            told.append([_block(children, texts, order) for texts in blocks])
    return Timed(tuple(arm.name for arm in arms), clock, told)


def _block(children: Sequence[Child], texts: Sequence[str], order: random.Random) -> list[Batch]:
    found: dict[int, Batch] = {}
    for index in order.sample(range(len(children)), len(children)):
        children[index].many(texts[:_WARM_UP])
        found[index] = children[index].many(texts)
    return [found[index] for index in range(len(children))]


def parts(texts: Sequence[str], count: int) -> list[Sequence[str]]:
    """``texts`` in ``count`` parts of one size; what is left over is left out."""
    size = len(texts) // count
    if not size:
        raise SystemExit(f"{len(texts)} texts are too few for {count} parts")
    return [texts[n * size : (n + 1) * size] for n in range(count)]


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def times(speedup: dict[str, float | int]) -> str:
    """A ratio and its interval as text."""
    return f"{speedup['ratio']:.2f} ({speedup['low']:.2f} to {speedup['high']:.2f})"


def publish(given: argparse.Namespace, name: str, figures: dict[str, object], text: str) -> None:
    """``NAME.json`` and ``NAME.md`` hold the figures and where they are from; printed too.

    Paths are left out of the command: they say nothing elsewhere.
    """
    name = given.name or f"runtime-{name}"
    record = {
        "script": f"benchmarks/runtime/{Path(sys.argv[0]).name}",
        "arguments": {
            key: value
            for key, value in vars(given).items()
            if key != "name" and not isinstance(value, Path)
        },
        "bundle": json.loads((given.bundle / "edgepipe.json").read_text())["name"],
        "bundle_digest": disk.sha256(given.bundle / "edgepipe.json"),
        "date": datetime.now(UTC).date().isoformat(),
        "edgepipe": __version__,
        "machine": machine().model_dump(mode="json"),
        "figures": figures,
    }
    where = machine()
    head = (
        f"*{where.cpu}, {where.cores} cores, onnxruntime {where.packages.get('onnxruntime', '-')}, "
        f"{record['date']}; bundle {record['bundle']}; `{record['script']}`*\n\n"
    )
    disk.write_json(given.out / f"{name}.json", record)
    disk.write_text(given.out / f"{name}.md", head + text)
    print(text)

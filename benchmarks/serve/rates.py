"""The highest rate of Poisson arrivals at which a server keeps its latency, beside a control.

    pip install mlcommons-loadgen==6.0.17     # in the same environment, or see --loadgen
    python benchmarks/serve/rates.py --bundle artifacts/movie-reviews/bundle

MLPerf's LoadGen (Server scenario) gives the load over loopback. A rate is kept when LoadGen finds
the 99th percentile of latency below the bound, every status is 200, and every answer is the first
one that came to the same text; it has two chances. The bound is one for all: five times the
control's median for a single request with nothing beside it.

Arms: ``edgepipe serve`` with one worker and with two, and ``control.py``. Their searches take
turns, one trial each. All arms have the cores of ``--server-cores``; the load generator has those
of ``--load-cores``. Where these are the same cores, the load generator takes part of what the
servers could use, from every arm alike, and the column of its CPU time says how much. It wants
cores with nothing else to do; on two it takes about seven minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shlex
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from arms import Arm, Load, commands, serving

from edgepipe import __version__, disk
from edgepipe.measure.machine import machine

ROOT = Path(__file__).resolve().parents[2]
REVIEWS = ROOT / "pipelines" / "data" / "movie-reviews" / "test.jsonl"
BOUND = 5
TEXTS = 512
_GROWTH = 1.25
_CLOSE = 1.05
_CHANCES = 2
"""A rate is lost when it is lost twice: one burst of other work on the machine says nothing."""
_LEAST = 20
"""Requests a second: a search gives up below."""
_QUERIES = 1000
"""Of a trial at least, for the sake of its 99th percentile."""


@dataclass
class Search:
    """The highest rate that is kept: up by a quarter until one is not, then halving the gap."""

    rate: float
    kept: float = 0.0
    lost: float = float("inf")

    @property
    def ended(self) -> bool:
        """Whether the two are close enough, or no rate worth the name is kept."""
        return self.lost <= max(self.kept * _CLOSE, _LEAST)

    def told(self, *, kept: bool) -> None:
        """The next rate to try is known."""
        if kept:
            self.kept = max(self.kept, self.rate)
        else:
            self.lost = min(self.lost, self.rate)
        if self.lost == float("inf"):
            self.rate = self.kept * _GROWTH
        elif not self.kept:
            self.rate = self.lost / _GROWTH
        else:
            self.rate = (self.kept * self.lost) ** 0.5


def measure_service(arms: Sequence[Arm], load: Load, rounds: int, seed: int) -> None:
    """Every arm knows its median for a single request, ``rounds`` times, in random order."""
    order = random.Random(seed)  # noqa: S311 (reproducible, no secret)
    for number in range(rounds + 1):
        for arm in order.sample(arms, len(arms)):
            found = load.ask(do="single", port=arm.port, count=TEXTS)
            if number:  # the first warms up
                arm.service_ns.append(found["percentiles_ns"]["50.00"])


def search(
    arms: Sequence[Arm], load: Load, given: argparse.Namespace, bound_ns: int, seed: int
) -> list[float]:
    """The highest rate that every arm keeps, in their order."""
    order = random.Random(seed)  # noqa: S311 (reproducible, no secret)
    start = 0.5e9 / statistics.median(arms[0].service_ns)
    searches = {arm.name: Search(start) for arm in arms}
    while any(not found.ended for found in searches.values()):
        for arm in order.sample(arms, len(arms)):
            found = searches[arm.name]
            if not found.ended:
                kept = any(
                    trial(arm, load, found.rate, given.seconds, bound_ns, order)
                    for _ in range(_CHANCES)
                )
                found.told(kept=kept)
    return [searches[arm.name].kept for arm in arms]


def trial(  # noqa: PLR0913, PLR0917 (what a trial depends on)
    arm: Arm, load: Load, rate: float, seconds: float, bound_ns: int, order: random.Random
) -> bool:
    """Whether ``arm`` keeps ``rate``."""
    before, begin = arm.cpu_seconds(), time.monotonic()
    found = load.ask(
        do="poisson",
        port=arm.port,
        rate=rate,
        seconds=seconds,
        count=_QUERIES,
        bound_ns=bound_ns,
        seed=order.randrange(1 << 30),
    )
    spent = arm.cpu_seconds() - before
    found["kept"] = found["kept"] and not found["wrong"] and not found["differing"]
    arm.trials.append(
        {"rate": rate, "wall_s": time.monotonic() - begin, "server_cpu_s": spent} | found
    )
    p99, verdict = found["percentiles_ns"]["99.00"] / 1e6, "kept" if found["kept"] else "lost"
    say = f"{arm.name}: {rate:.0f}/s, p99 {p99:.2f} ms, {verdict}"
    print(say, found["wrong"] or "", file=sys.stderr, flush=True)
    return bool(found["kept"])


def texts(seed: int) -> list[str]:
    """Real sentences in random order."""
    lines = REVIEWS.read_text(encoding="utf-8").splitlines()
    found = [str(json.loads(line)["text"]) for line in lines]
    return random.Random(seed).sample(found, TEXTS)  # noqa: S311 (reproducible, no secret)


def run(given: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    load = Load(shlex.split(given.loadgen), _cores(given.load_cores))
    with contextlib.ExitStack() as stack:
        stack.callback(load.close)
        load.ask(do="texts", texts=texts(given.seed))
        arms = [
            stack.enter_context(serving(name, command, _cores(given.server_cores)))
            for name, command in commands(given.bundle).items()
        ]
        measure_service(arms, load, given.rounds, given.seed)
        bound_ns = int(BOUND * statistics.median(arms[0].service_ns))
        rates = [
            search(arms, load, given, bound_ns, given.seed + number)
            for number in range(given.rounds)
        ]
    return {
        "bound_ms": bound_ns / 1e6,
        "arms": {
            arm.name: {
                "service_ms": statistics.median(arm.service_ns) / 1e6,
                "rates": [found[n] for found in rates],
                "rate": statistics.median(found[n] for found in rates),
                "times_control": statistics.median(
                    found[n] / max(found[0], _LEAST) for found in rates
                ),
                **_cpu(arm),
                "trials": arm.trials,
            }
            for n, arm in enumerate(arms)
        },
    }


def _cpu(arm: Arm) -> dict[str, float]:
    """CPU milliseconds of a query, over the trials that were kept."""
    kept = [trial for trial in arm.trials if trial["kept"]]
    queries = sum(trial["queries"] for trial in kept) or 1
    return {
        "server_cpu_ms": 1000 * sum(trial["server_cpu_s"] for trial in kept) / queries,
        "load_cpu_ms": 1000 * sum(trial["load_cpu_s"] for trial in kept) / queries,
    }


def _cores(given: str) -> set[int]:
    return {int(core) for core in given.split(",")} if given else os.sched_getaffinity(0)


def markdown(record: dict[str, Any]) -> str:
    """The figures as a table."""
    where, figures = record["machine"], record["figures"]
    cores = f"servers on {record['server_cores']}, load on {record['load_cores']}"
    head = ("server", "one request, median", "highest rate kept (each search)", "times control")
    head = (*head, "server CPU a request", "load CPU a request")
    source = (
        f"*{where['cpu']}, {where['cores']} cores ({cores}), onnxruntime "
        f"{where['packages'].get('onnxruntime', '-')}, {record['date']}; bundle "
        f"{record['bundle']}; `{record['script']}`*"
    )
    kept = (
        f"Kept: p99 below {figures['bound_ms']:.2f} ms under Poisson arrivals (MLPerf LoadGen), no "
        "status but 200, no answer other than the first one to the same text, in one of two trials."
    )
    rows = [_row(_cells(name, arm)) for name, arm in figures["arms"].items()]
    return "\n".join([source, "", _row(head), _row(["---"] * len(head)), *rows, "", kept, ""])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cells(name: str, arm: dict[str, Any]) -> list[str]:
    every = ", ".join(f"{rate:.0f}" for rate in arm["rates"])
    return [
        name,
        f"{arm['service_ms']:.2f} ms",
        f"{arm['rate']:.0f}/s ({every})",
        f"{arm['times_control']:.2f}",
        f"{arm['server_cpu_ms']:.2f} ms",
        f"{arm['load_cpu_ms']:.2f} ms",
    ]


def main() -> None:
    """Measure and write down."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=5, help="of a trial")
    parser.add_argument("--rounds", type=int, default=2, help="searches of every arm")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--server-cores", default="", help="like 0,1; all by default")
    parser.add_argument("--load-cores", default="", help="like 0,1; all by default")
    parser.add_argument("--loadgen", default=sys.executable, help="a Python that has LoadGen")
    parser.add_argument("--name", default="serve-rates")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    given = parser.parse_args()
    record = {
        "script": "benchmarks/serve/rates.py",
        "arguments": {"seconds": given.seconds, "rounds": given.rounds, "seed": given.seed},
        "server_cores": sorted(_cores(given.server_cores)),
        "load_cores": sorted(_cores(given.load_cores)),
        "bundle": json.loads((given.bundle / "edgepipe.json").read_text())["name"],
        "bundle_digest": disk.sha256(given.bundle / "edgepipe.json"),
        "date": datetime.now(UTC).date().isoformat(),
        "edgepipe": __version__,
        "machine": machine().model_dump(mode="json"),
        "figures": run(given),
    }
    disk.write_json(given.out / f"{given.name}.json", record)
    disk.write_text(given.out / f"{given.name}.md", markdown(record))
    print(markdown(record))


if __name__ == "__main__":
    main()

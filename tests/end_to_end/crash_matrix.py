"""Kill, or fill the disk, at every disk operation of pipelines/tiny.toml; see that it recovers.

``python tests/end_to_end/crash_matrix.py [--every K]``; ``make crash`` runs all of them, which
takes an hour or so. An undisturbed run counts the disk operations of each step. Then, for each one,
 a fresh root with the steps before it in place is disturbed at that operation,
run again undisturbed, and the artifact of that step is compared with the undisturbed one: later
steps depend on nothing else. What follows the last step (bundle, report) is compared as a whole.
"""

from __future__ import annotations

import argparse
import dataclasses
import errno
import importlib
import json
import os
import pkgutil
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import edgepipe
from edgepipe import disk
from edgepipe.config import load
from edgepipe.errors import DiskError
from edgepipe.pipeline import graph, job
from edgepipe.pipeline.definition import Pipeline
from edgepipe.pipeline.run import Listener, Runner

ROOT = Path(__file__).parents[2]
OUTSIDE = "after the last step"


def tiny() -> Pipeline:
    """tiny.toml without what is chosen by timing, or measured of a process: always the same."""
    whole = load(ROOT / "pipelines" / "tiny.toml")
    steps = []
    for step in whole.steps:
        if step.name == "fp32":
            only = step.stage.model_copy(update={"candidates": ("sum",)})
            steps.append(dataclasses.replace(step, stage=only))
        elif step.name not in ("speed", "counts"):
            steps.append(step)
    gates = tuple(gate for gate in whole.gates if gate.step == "validate")
    return dataclasses.replace(whole, steps=tuple(steps), gates=gates)


class Counter:
    """Counts disk operations by the step they belong to; acts at one of them."""

    def __init__(self, at: tuple[str, int] | None = None, act: Callable[[], None] | None = None):
        self.at, self.act = at, act
        self.step, self.counts = "", dict[str, int]()

    def hook(self, name: str, path: Path) -> None:
        del name, path
        self.counts[self.step] = self.counts.get(self.step, 0) + 1
        if self.act is not None and (self.step, self.counts[self.step]) == self.at:
            self.act()

    def run(self, root: Path, last: str) -> None:
        """Run up to and with the step ``last``, or the whole job."""
        listener = Listener(
            started=lambda step, why: setattr(self, "step", step.name),
            ended=lambda result: setattr(self, "step", OUTSIDE),
        )
        with disk.hooked(self.hook):
            if last == OUTSIDE:
                job.run(tiny(), root, listener)
                return
            for result in Runner(pipeline=tiny(), root=root, listener=listener).execute():
                if result.step.name == last:
                    return


def in_child(work: Callable[[], None]) -> int:
    """The wait status of a forked child that did ``work``; 1 where it raised."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    try:
        work()
    except DiskError as error:
        os._exit(0 if "no space left" in str(error) else 3)
    except BaseException:  # noqa: BLE001 - the child ends here
        traceback.print_exc()
        os._exit(1)
    os._exit(2 if work.__name__ == "disturbed" else 0)


def digests(root: Path) -> dict[str, str]:
    """The digest of every finished step, and of the published bundle."""
    found = {
        result.step.name: result.artifact.digest
        for result in Runner(pipeline=tiny(), root=root).execute()
    }
    return found | {OUTSIDE: disk.digest(root / "tiny" / "bundle")}


def seed(root: Path, whole: Path, before: list[str], keys: dict[str, Path]) -> None:
    """``root`` has exactly the steps ``before`` in its cache."""
    for step in before:
        target = root / "cache" / keys[step].relative_to(whole / "cache")
        shutil.copytree(keys[step], target)


def kill() -> None:
    """The way no handler sees."""
    os.kill(os.getpid(), 9)


def fill() -> None:
    """What a full disk says."""
    raise OSError(errno.ENOSPC, "No space left on device")


def survives(
    root: Path, at: tuple[str, int], act: Callable[[], None], expected: dict[str, str]
) -> bool:
    """Whether a run disturbed at ``at`` and run again ends like an undisturbed one."""

    def disturbed() -> None:
        Counter(at, act).run(root, at[0])

    def check() -> None:
        Counter().run(root, at[0])
        if at[0] == OUTSIDE:
            made = disk.digest(root / "tiny" / "bundle")
        else:
            run = Runner(pipeline=tiny(), root=root).execute()
            made = next(r.artifact.digest for r in run if r.step.name == at[0])
        if made != expected[at[0]]:
            raise AssertionError(f"{at}: {made} instead of {expected[at[0]]}")

    status = in_child(disturbed)
    reached = os.WIFSIGNALED(status) if act is kill else status == 0
    return reached and in_child(check) == 0


def points(counts: dict[str, int], every: int) -> Iterator[tuple[str, int]]:
    """Every ``every``-th operation, over all steps."""
    everything = [(step, n) for step, count in counts.items() for n in range(1, count + 1)]
    yield from everything[::every]


def undisturbed(root: Path, counts_file: Path) -> None:
    """Run once in a child (a process that used torch's threads must not fork)."""

    def work() -> None:
        counter = Counter()
        counter.run(root, OUTSIDE)
        kept = {step: n for step, n in counter.counts.items() if step}
        disk.write_json(counts_file, {"counts": kept, "digests": digests(root)})

    if in_child(work) != 0:
        sys.exit("the undisturbed run failed")


def matrix(place: Path, every: int) -> tuple[int, int]:
    """How many disturbed runs ended like the undisturbed one, and how many there were."""
    whole = place / "whole"
    undisturbed(whole, place / "counts.json")
    found = json.loads((place / "counts.json").read_text())
    expected = found["digests"]
    order = [step.name for step in graph.order(tiny().steps)] + [OUTSIDE]
    keys = {}
    for entry in (whole / "cache").glob("*/*/artifact/artifact.json"):
        digest = json.loads(entry.read_text())["digest"]
        keys |= {step: entry.parents[1] for step in order if expected[step] == digest}
    survived = total = 0
    for at in points({step: found["counts"][step] for step in order}, every):
        for act in (kill, fill):
            root = place / "disturbed"
            seed(root, whole, order[: order.index(at[0])], keys)
            good = survives(root, at, act, expected)
            shutil.rmtree(root)
            survived, total = survived + good, total + 1
            if not good:
                print(f"NOT survived: {act.__name__} at operation {at[1]} of {at[0]}")
    return survived, total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="only every K-th operation")
    every = parser.parse_args().every
    for module in pkgutil.walk_packages(edgepipe.__path__, "edgepipe."):
        if module.name != "edgepipe.__main__":  # imported, not used, so that children start with it
            importlib.import_module(module.name)
    with tempfile.TemporaryDirectory() as place:
        survived, total = matrix(Path(place), every)
    print(f"pipelines/tiny.toml: {survived} of {total} kills and full disks survived")
    sys.exit(survived != total)


if __name__ == "__main__":
    main()

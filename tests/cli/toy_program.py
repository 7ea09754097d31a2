"""A pipeline of toy stages for the command line: it trains nothing and takes milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgepipe import cli
from edgepipe.artifacts import Checkpoint, Report
from edgepipe.measure.records import REPORT
from edgepipe.stage import Named, Stage, Work
from tests.pipeline import toys
from tests.pipeline.measured import validation

HERE = "tests.cli.toy_program"
STAGES = {
    "number": "tests.pipeline.toys:Number",
    "double": f"{HERE}:Fragile",
    "wrap": "tests.pipeline.toys:Wrap",
    "validate": f"{HERE}:Measured",
}
"""What stands in for the real stages."""


class Fragile(toys.Double):
    """``fail`` says how it ends."""

    def run(self, inputs: toys.OneNumber, into: Path, work: Work) -> Checkpoint:
        work.progress(1, 2, "doubling")
        match self.fail:
            case "bug":
                raise RuntimeError("nobody meant this")
            case "ctrl-c":
                raise KeyboardInterrupt
            case "sigterm":
                raise cli.Terminated
            case "torch":
                raise ModuleNotFoundError("No module named 'torch'", name="torch")
            case "pipe":
                raise BrokenPipeError
            case "disk":
                raise OSError("No space left on device (os error 28)")
        return super().run(inputs, into, work)


@dataclass(frozen=True, kw_only=True)
class Models:
    reference: Checkpoint
    candidates: Named[Checkpoint]


class Measured(Stage[Models, Report]):
    """Reports counts that are its settings: texts that only one of the two answers rightly."""

    inputs = Models
    makes = Report

    only_reference: int
    only_candidate: int

    def run(self, inputs: Models, into: Path, work: Work) -> Report:
        (candidate,) = inputs.candidates
        found = validation(
            self.only_reference, self.only_candidate, names=("the reference", candidate)
        )
        found.write(into / REPORT)
        return Report(path=into, content="validation")


def text(*, fail: str = "", counts: tuple[int, int] = (60, 50), gate: bool = True) -> str:
    """A pipeline file. (60, 50) passes its gate, (100, 50) leaves it open, (400, 0) fails it."""
    whole = f"""name = "toy"
task = "text-classification"
[step.number]
use = "number"
value = 3
[step.teacher]
use = "double"
fail = "{fail}"
from = {{ number = "number" }}
[step.small]
use = "double"
from = {{ number = "number" }}
[step.accuracy]
use = "validate"
only_reference = {counts[0]}
only_candidate = {counts[1]}
from = {{ reference = "teacher", candidates = ["small"] }}
[step.bundle]
use = "wrap"
from = {{ parts = ["small", "number"] }}
"""
    if not gate:
        return whole
    return f"""{whole}[[gate]]
measure = "accuracy"
of = "small"
against = "teacher"
max_drop = 0.02
"""

"""What a comparison leaves in ``benchmarks/results/peers.json``."""

from __future__ import annotations

from typing import Literal

from edgepipe.measure.machine import Machine
from edgepipe.measure.records import BenchmarkReport, Interval
from edgepipe.measure.records.base import Bytes, Count, NotNegative, Record, Share


class Environment(Record):
    """A tool's virtual environment."""

    name: str
    packages: dict[str, str]
    """Every distribution and its version; empty when it could not be built."""
    bytes: Bytes
    """Of its site-packages, without pip and setuptools."""
    seconds: NotNegative
    """That building took, downloads included."""
    failed: str = ""
    """The last words of an installer that failed."""


class Made(Record):
    """How a recipe went."""

    recipe: str
    model: str
    call: str
    exit_code: int
    seconds: NotNegative
    """From the command's start to its end, imports included."""
    bytes: Bytes
    """Of every file that ships."""
    lines: Count
    """Statements and commands that a user writes for it."""
    said: str = ""
    """Its last words when it failed."""


class Accuracy(Record):
    """How an arm answers the test split, beside torch."""

    arm: str
    examples: Count
    accuracy: Share
    interval: Interval
    """Of the accuracy: Wilson's score interval, two-sided at 95 %."""
    drop: float
    """Of the accuracy, against torch: positive is worse."""
    drop_interval: Interval
    """Two-sided at 95 %, of paired answers (``edgepipe.measure.statistics``)."""
    flips: Count
    """Answers that differ from torch's."""


class ColdStart(Record):
    """From a bare interpreter to the first answer, in the median over process rounds."""

    arm: str
    load_s: NotNegative
    """Imports and loading."""
    first_s: NotNegative
    """The first answer."""
    total_s: NotNegative


class Crash(Record):
    """An arm that could not be measured."""

    arm: str
    why: str
    command: str


class Clocks(Record):
    """One table's times."""

    table: str
    report: BenchmarkReport
    cold: tuple[ColdStart, ...]
    """The reference first, then the candidates in their order."""
    crashes: tuple[Crash, ...] = ()


class Ending(Record):
    """How a tool ended when something was wrong."""

    tool: str
    what: Literal["corrupt checkpoint", "corrupt ONNX file", "misspelt option"]
    call: str
    exit_code: int
    left: tuple[str, ...]
    """Files that look like a result."""
    said: str
    """Its last line."""


class Answering(Record):
    """What a user writes to get answers from an arm."""

    arm: str
    lines: Count


class Results(Record):
    """One run of the whole comparison, on one machine."""

    version: Literal[1] = 1
    date: str
    edgepipe: str
    quick: bool
    machine: Machine
    seconds: NotNegative
    """Of the whole run; of all its parts where it was interrupted."""
    teacher: str
    """The checkpoint's digest."""
    texts: dict[str, str]
    """What was answered, by table: a line that describes it, lengths included."""
    environments: tuple[Environment, ...]
    made: tuple[Made, ...]
    accuracy: tuple[Accuracy, ...]
    clocks: tuple[Clocks, ...]
    endings: tuple[Ending, ...]
    answering: tuple[Answering, ...]

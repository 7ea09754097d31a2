"""What a comparison leaves in ``benchmarks/results/peers.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from benchmarks.peers.lineup import Recipe, Table
from edgepipe import disk
from edgepipe.errors import UsageError
from edgepipe.measure.machine import Machine
from edgepipe.measure.records import BenchmarkReport, Interval
from edgepipe.measure.records.base import Above0, Bytes, Count, NotNegative, Record, Share


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

    @property
    def failed(self) -> bool:
        """Whether nothing came of it: some tools leave no model and end with exit code 0."""
        return bool(self.exit_code or self.said)


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
    right: str
    """1 for every text answered rightly, 0 for the others, packed (``measure.records.packed``)."""


class ColdStart(Record):
    """From a bare interpreter to the first answer, in the median over process rounds."""

    arm: str
    load_s: NotNegative
    """Imports and loading."""
    first_s: NotNegative
    """The rest: the interpreter's start and the first answer."""
    total_s: NotNegative
    """From the start of the process to its first answer."""
    totals_s: tuple[Above0, ...]
    """Of every process round, in order: two arms' rounds pair up, as they ran side by side."""


class Crash(Record):
    """An arm that could not be measured."""

    arm: str
    why: str
    command: str
    exit_code: int | None = None
    """None where the harness does not know it."""


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
    recipes: tuple[Recipe, ...]
    """The line-up as it ran: with it the results say by themselves what each row is."""
    tables: tuple[Table, ...]
    environments: tuple[Environment, ...]
    made: tuple[Made, ...]
    accuracy: tuple[Accuracy, ...]
    clocks: tuple[Clocks, ...]
    endings: tuple[Ending, ...]
    answering: tuple[Answering, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        known = {table.name for table in self.tables}
        for found in self.clocks:
            if found.report.machine.machine_id != self.machine.machine_id:
                raise ValueError(f"the clocks of {found.table!r} are another machine's")
            if found.table not in known:
                raise ValueError(f"there is no table {found.table!r}")
        recipes = {recipe.name for recipe in self.recipes}
        for arm in (arm for table in self.tables for arm in table.arms):
            if arm.recipe not in recipes:
                raise ValueError(f"{arm.name!r} answers with {arm.recipe!r}, which is no recipe")
        return self

    def write(self, path: Path) -> None:
        """``path`` holds these results as JSON, durably."""
        disk.write_json(path, self.model_dump(mode="json", by_alias=True))


def read(path: Path) -> Results:
    """The results at ``path``; UsageError when they are unreadable or damaged."""
    try:
        return Results.model_validate_json(path.read_bytes())
    except (OSError, ValueError, ArithmeticError, RecursionError) as error:
        raise UsageError(f"{path} holds no results of a comparison: {error}") from error

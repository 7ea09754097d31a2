"""What pipeline and policy files share: typed tables, and all mistakes at once, by line."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from edgepipe.config.lines import Lines
from edgepipe.config.problems import explain
from edgepipe.errors import ConfigError, UsageError
from edgepipe.pipeline.gate import Gate
from edgepipe.pipeline.graph import Problem, near

At = tuple[str | int, ...]
Table = dict[str, Any]


def text_of(path: Path, kind: str) -> str:
    """What is written in the file; UsageError, naming the ``kind`` of file, if it is unreadable."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{path}: cannot read the {kind} file: {reason}") from error


def table_of(text: str, file: Path) -> Table:
    """``text`` as TOML; ConfigError where it is none."""
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError([f"{file}: not TOML: {error}"]) from error


class Reader:
    """Collects problems instead of stopping at the first."""

    def __init__(self, table: Table, file: Path) -> None:
        self.table = table
        self.file = file
        self.base = file.resolve().parent
        self.problems: list[Problem] = []

    def say(self, at: At, text: str) -> None:
        """One more problem, at a path of keys."""
        self.problems.append(Problem(at, text))

    def known(self, keys: Iterable[str]) -> None:
        """There is a problem for every key of the file that is none of ``keys``."""
        for key in self.table.keys() - set(keys):
            self.say((key,), f"unknown key{near(key, keys)}")

    def model(self, model: Any, table: Any, at: At) -> Any:
        """``table`` as ``model``; JSON mode lets strict types take TOML's strings and arrays.

        None, and problems, where it does not fit.
        """
        text = json.dumps(table, default=str)
        try:
            return TypeAdapter(model).validate_json(text, context={"base": self.base})
        except ValidationError as error:
            for problem in explain(error, model, table):
                self.say((*at, *problem.at), problem.text)
            return None

    def gates(self) -> dict[int, Gate]:
        """The ``[[gate]]`` tables that can be read, by their number from 0."""
        tables = self.table.get("gate", [])
        if not isinstance(tables, list):
            self.say(("gate",), "gates are an array of tables: [[gate]]")
            return {}
        found: Mapping[int, Gate | None] = {
            n: self.model(Gate, t, ("gate", n)) for n, t in enumerate(tables)
        }
        return {n: gate for n, gate in found.items() if gate is not None}

    def finish(self, text: str) -> None:
        """Raise ConfigError with a line for every problem, if there are any."""
        if self.problems:
            lines = Lines(text)
            found = sorted({(lines.of(p.at), _where(p) + p.text) for p in self.problems})
            raise ConfigError([f"{self.file}:{line}: {problem}" for line, problem in found])


def _where(problem: Problem) -> str:
    """``step.int8.method: ``, the way the file's own headers spell it."""
    return ".".join(map(str, problem.at)) + ": " if problem.at else ""

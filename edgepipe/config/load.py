"""Read a pipeline file: all of its mistakes at once, each with line and hint."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from edgepipe.artifacts import Artifact
from edgepipe.config.lines import Lines
from edgepipe.config.problems import explain
from edgepipe.errors import ConfigError, UsageError
from edgepipe.pipeline.definition import Pipeline
from edgepipe.pipeline.gate import Gate, check_gates
from edgepipe.pipeline.graph import Problem, Step, Wires, check, near
from edgepipe.pipeline.key import sources
from edgepipe.pipeline.settings import RunSettings
from edgepipe.stages import STAGES, stage_class

_TOP = ("name", "task", "run", "step", "gate")
TASKS = ("text-classification",)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_RESERVED = ("cache", "baselines")
Table = dict[str, Any]


def load(file: str | Path) -> Pipeline:
    """The pipeline that ``file`` describes.

    Raises UsageError when it cannot be read, ConfigError naming every mistake in it.
    """
    path = Path(file)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{path}: cannot read the pipeline file: {reason}") from error
    return parse(text, path)


def parse(text: str, file: Path) -> Pipeline:
    """The pipeline that ``text`` describes; paths in it are relative to the folder of ``file``."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{file}: not TOML: {error}"]) from error
    reader = _Reader(table, file)
    pipeline = reader.read(text)
    if reader.problems:
        lines = Lines(text)
        found = sorted({(lines.of(p.at), _where(p) + p.text) for p in reader.problems})
        raise ConfigError([f"{file}:{line}: {problem}" for line, problem in found])
    return pipeline


def _where(problem: Problem) -> str:
    """``step.int8.method: ``, the way the file's own headers spell it."""
    return "".join(f"{key}." for key in problem.at)[:-1] + ": " if problem.at else ""


class _Reader:
    """Collects problems instead of stopping at the first."""

    def __init__(self, table: Table, file: Path) -> None:
        self.table = table
        self.file = file
        self.problems: list[Problem] = []
        self.broken: dict[str, type[Artifact] | None] = {}

    def read(self, text: str) -> Pipeline:
        self._top()
        run = self._model(RunSettings, self._table("run"), ("run",)) or RunSettings()
        steps = [s for name, t in self._table("step").items() if (s := self._step(name, t))]
        self.problems += check(steps, self.broken)
        gates = self._gates()
        self.problems += check_gates(gates, steps, self.broken)
        return Pipeline(
            name=str(self.table.get("name", "")),
            task=str(self.table.get("task", "")),
            file=self.file,
            text=text,
            run=run,
            steps=tuple(steps),
            gates=tuple(gates.values()),
        )

    def _top(self) -> None:
        for key in self.table.keys() - set(_TOP):
            self._say((key,), f"unknown key{near(key, _TOP)}")
        name = self.table.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _RESERVED:
            got = "is missing" if name is None else f"got {name!r}"
            self._say(("name",), f"letters, digits, '.', '_' and '-' make a name; {got}")
        task = self.table.get("task")
        if task not in TASKS:
            hint = near(str(task), TASKS)
            self._say(("task",), f"one of {', '.join(TASKS)} is needed, got {task!r}{hint}")
        if not self._table("step"):
            self._say((), "there is no [step.NAME] table, so nothing to run")

    def _table(self, key: str) -> Table:
        found = self.table.get(key, {})
        if isinstance(found, dict):
            return found
        self._say((key,), f"has to be a table: [{key}]")
        return {}

    def _step(self, name: str, table: Any) -> Step | None:
        at = ("step", name)
        self.broken[name] = None
        if not isinstance(table, dict):
            self._say(at, f"has to be a table: [step.{name}]")
            return None
        settings = dict(table)
        use, wires = settings.pop("use", None), self._wires(at, settings.pop("from", {}))
        if use not in STAGES:
            have = f"one of {', '.join(STAGES)}"
            text = "says no stage" if use is None else f"there is no stage {use!r}"
            self._say((*at, "use"), f"{text}: use = {have}{near(str(use), STAGES)}")
            return None
        stage = stage_class(use)
        self.broken[name] = stage.makes
        made = self._model(stage, settings, at)
        if made is None or wires is None or not _NAME.fullmatch(name):
            if not _NAME.fullmatch(name):
                self._say(at, "letters, digits, '.', '_' and '-' make a step's name")
            return None
        del self.broken[name]
        self._locate(made, at)
        return Step(name=name, use=use, stage=made, wires=wires)

    def _wires(self, at: tuple[str, ...], table: Any) -> Wires | None:
        try:
            return _WIRES.validate_python(table)
        except ValidationError:
            self._say((*at, "from"), f"names steps: {{ port = 'step' }}, got {table!r}")
            return None

    def _locate(self, stage: BaseModel, at: tuple[str, ...]) -> None:
        for where, source in sources(stage):
            try:
                source.locate()
            except UsageError as error:
                self._say((*at, *where.split(".")), str(error))

    def _gates(self) -> dict[int, Gate]:
        tables = self.table.get("gate", [])
        if not isinstance(tables, list):
            self._say(("gate",), "gates are an array of tables: [[gate]]")
            return {}
        found = {n: self._model(_GATE, t, ("gate", n)) for n, t in enumerate(tables)}
        return {n: gate for n, gate in found.items() if gate is not None}

    def _model(self, model: Any, table: Any, at: tuple[str | int, ...]) -> Any:
        """``table`` as ``model``; JSON mode lets strict types take TOML's strings and arrays."""
        adapter = model if isinstance(model, TypeAdapter) else TypeAdapter(model)
        context = {"base": self.file.resolve().parent}
        try:
            return adapter.validate_json(json.dumps(table, default=str), context=context)
        except ValidationError as error:
            self.problems += _explained(error, model, at)
            return None

    def _say(self, at: tuple[str | int, ...], text: str) -> None:
        self.problems.append(Problem(at, text))


def _explained(error: ValidationError, model: Any, at: tuple[str | int, ...]) -> Iterator[Problem]:
    for problem in explain(error, model):
        yield Problem((*at, *problem.at), problem.text)


_GATE: TypeAdapter[Gate] = TypeAdapter(Gate)
_WIRES: TypeAdapter[Wires] = TypeAdapter(dict[str, str | tuple[str, ...]])

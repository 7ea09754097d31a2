"""Read a pipeline file: all of its mistakes at once, each with line and hint."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError

from edgepipe.config.lines import Lines
from edgepipe.config.problems import explain
from edgepipe.errors import ConfigError, UsageError
from edgepipe.pipeline.definition import Pipeline
from edgepipe.pipeline.gate import Gate
from edgepipe.pipeline.gate_check import check_gates
from edgepipe.pipeline.graph import Draft, Problem, Step, Wires, check, near
from edgepipe.pipeline.settings import RunSettings
from edgepipe.sources import Source, walk
from edgepipe.stages import STAGES, stage_class

_TOP = ("name", "task", "run", "step", "gate")
TASKS = ("text-classification",)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NAMES = "letters, digits, '.', '_' and '-' make a name, a letter or a digit first"
RESERVED = ("cache", "baselines")
At = tuple[str | int, ...]
Table = dict[str, Any]


def load(file: str | Path) -> Pipeline:
    """The pipeline that ``file`` describes.

    Raises UsageError when it cannot be read, ConfigError naming every mistake in it.
    """
    path = Path(file)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{path}: cannot read the pipeline file: {reason}") from error
    return parse(text, path)


def parse(text: str, file: Path) -> Pipeline:
    """The pipeline that ``text`` describes; paths in it are relative to the folder of ``file``."""
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
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
    return ".".join(map(str, problem.at)) + ": " if problem.at else ""


class _Reader:
    """Collects problems instead of stopping at the first."""

    def __init__(self, table: Table, file: Path) -> None:
        self.table = table
        self.file = file
        self.base = file.resolve().parent
        self.problems: list[Problem] = []
        self.drafts: list[Draft] = []
        self.outside: list[tuple[At, Source]] = []

    def read(self, text: str) -> Pipeline:
        self._top()
        run = self._model(RunSettings, self._table("run"), ("run",)) or RunSettings()
        tables = self._table("step")
        if not tables and self.table.get("step", {}) == {}:
            self._say((), "there is no [step.NAME] table, so nothing to run")
        steps = [step for name, t in tables.items() if (step := self._step(name, t))]
        self.problems += check(self.drafts)
        gates = self._gates()
        self.problems += check_gates(gates, self.drafts)
        self._locate()
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
        if name is None:
            self._say(("name",), f"is missing; {_NAMES}")
        elif not isinstance(name, str) or not NAME.fullmatch(name):
            self._say(("name",), f"got {name!r}; {_NAMES}")
        elif name in RESERVED:
            self._say(("name",), f"{name!r} is taken by edgepipe itself; choose another")
        task = self.table.get("task")
        if task not in TASKS:
            got = "is missing" if task is None else f"got {task!r}{near(str(task), TASKS)}"
            self._say(("task",), f"{got}; tasks: {', '.join(TASKS)}")

    def _table(self, key: str) -> Table:
        found = self.table.get(key, {})
        if isinstance(found, dict):
            return found
        self._say((key,), f"has to be a table: [{key}]")
        return {}

    def _step(self, name: str, table: Any) -> Step | None:
        """The step, or None when anything about it but its wires is wrong; a draft in any case."""
        at = ("step", name)
        if not NAME.fullmatch(name):
            self._say(at, f"a step's name: {_NAMES}")
        if not isinstance(table, dict):
            self._say(at, f"has to be a table: [step.{name}]")
            table = {"use": None}
        settings = dict(table)
        use, wires = settings.pop("use", ""), self._wires(at, settings.pop("from", {}))
        stage = stage_class(use) if isinstance(use, str) and use in STAGES else None
        self.drafts.append(Draft(name=name, use=str(use), stage=stage, wires=wires))
        if stage is None:
            if use is not None:
                text = f"there is no stage {use!r}{near(str(use), STAGES)}" if use else "is missing"
                self._say((*at, "use"), f"{text}; stages: {', '.join(STAGES)}")
            return None
        made = self._model(stage, settings, at)
        found = walk(made) if made else self._likely_sources(stage, settings)
        self.outside += [((*at, *where.split(".")), source) for where, source in found]
        return Step(name=name, use=use, stage=made, wires=wires or {}) if made else None

    def _wires(self, at: At, table: Any) -> Wires | None:
        try:
            return _WIRES.validate_python(table)
        except ValidationError:
            self._say((*at, "from"), f"names steps: {{ port = 'step' }}, got {table!r}")
            return None

    def _likely_sources(
        self, stage: type[BaseModel], settings: Table
    ) -> Iterator[tuple[str, Source]]:
        """Files that the settings name, where something else is wrong with them."""
        for name, field in stage.model_fields.items():
            value = settings.get(name)
            if isinstance(value, str) and value and Source in _members(field.annotation):
                yield name, Source(value, self.base)

    def _locate(self) -> None:
        """Outside files have to be there; nothing is fetched for a file that is wrong anyway."""
        for remote in (False, True):
            if remote and self.problems:
                return
            for at, source in self.outside:
                if source.is_remote == remote:
                    try:
                        source.locate()
                    except UsageError as error:
                        self._say(at, str(error))

    def _gates(self) -> dict[int, Gate]:
        tables = self.table.get("gate", [])
        if not isinstance(tables, list):
            self._say(("gate",), "gates are an array of tables: [[gate]]")
            return {}
        found = {n: self._model(Gate, t, ("gate", n)) for n, t in enumerate(tables)}
        return {n: gate for n, gate in found.items() if gate is not None}

    def _model(self, model: Any, table: Any, at: At) -> Any:
        """``table`` as ``model``; JSON mode lets strict types take TOML's strings and arrays."""
        text = json.dumps(table, default=str)
        try:
            return TypeAdapter(model).validate_json(text, context={"base": self.base})
        except ValidationError as error:
            for problem in explain(error, model, table):
                self._say((*at, *problem.at), problem.text)
            return None

    def _say(self, at: At, text: str) -> None:
        self.problems.append(Problem(at, text))


def _members(annotation: Any) -> Iterator[Any]:
    yield annotation
    for inner in get_args(annotation):
        yield from _members(inner)


_WIRES: TypeAdapter[Wires] = TypeAdapter(dict[str, str | tuple[str, ...]])

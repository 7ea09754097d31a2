"""Read a pipeline file: all of its mistakes at once, each with line and hint."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError

from edgepipe.config.reader import At, Reader, Table, table_of, text_of
from edgepipe.errors import UsageError
from edgepipe.pipeline.definition import Pipeline
from edgepipe.pipeline.gate_check import check_gates
from edgepipe.pipeline.graph import Draft, Step, Wires, check, near
from edgepipe.pipeline.settings import RunSettings
from edgepipe.sources import Source, walk
from edgepipe.stages import STAGES, stage_class

_TOP = ("name", "task", "run", "step", "gate")
TASKS = ("text-classification",)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NAMES = "letters, digits, '.', '_' and '-' make a name, a letter or a digit first"
RESERVED = ("cache", "baselines")


def load(file: str | Path) -> Pipeline:
    """The pipeline that ``file`` describes.

    Raises UsageError when it cannot be read, ConfigError naming every mistake in it.
    """
    path = Path(file)
    return parse(text_of(path, "pipeline"), path)


def parse(text: str, file: Path) -> Pipeline:
    """The pipeline that ``text`` describes; paths in it are relative to the folder of ``file``."""
    reader = _Reader(table_of(text, file), file)
    pipeline = reader.read(text)
    reader.finish(text)
    return pipeline


class _Reader(Reader):
    def __init__(self, table: Table, file: Path) -> None:
        super().__init__(table, file)
        self.drafts: list[Draft] = []
        self.outside: list[tuple[At, Source]] = []

    def read(self, text: str) -> Pipeline:
        self._top()
        settings = self._table("run")
        run = self.model(RunSettings, settings, ("run",)) or RunSettings()
        tables = self._table("step")
        if not tables and self.table.get("step", {}) == {}:
            self.say((), "there is no [step.NAME] table, so nothing to run")
        steps = [step for name, t in tables.items() if (step := self._step(name, t))]
        self.problems += check(self.drafts)
        gates = self.gates()
        self.problems += check_gates(gates, self.drafts, baseline="baseline" in settings)
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
        self.known(_TOP)
        name = self.table.get("name")
        if name is None:
            self.say(("name",), f"is missing; {_NAMES}")
        elif not isinstance(name, str) or not NAME.fullmatch(name):
            self.say(("name",), f"got {name!r}; {_NAMES}")
        elif name in RESERVED:
            self.say(("name",), f"{name!r} is taken by edgepipe itself; choose another")
        task = self.table.get("task")
        if task not in TASKS:
            got = "is missing" if task is None else f"got {task!r}{near(str(task), TASKS)}"
            self.say(("task",), f"{got}; tasks: {', '.join(TASKS)}")

    def _table(self, key: str) -> Table:
        found = self.table.get(key, {})
        if isinstance(found, dict):
            return found
        self.say((key,), f"has to be a table: [{key}]")
        return {}

    def _step(self, name: str, table: Any) -> Step | None:
        """The step, or None when anything about it but its wires is wrong; a draft in any case."""
        at = ("step", name)
        if not NAME.fullmatch(name):
            self.say(at, f"a step's name: {_NAMES}")
        if not isinstance(table, dict):
            self.say(at, f"has to be a table: [step.{name}]")
            table = {"use": None}
        settings = dict(table)
        use, wires = settings.pop("use", ""), self._wires(at, settings.pop("from", {}))
        stage = stage_class(use) if isinstance(use, str) and use in STAGES else None
        made = self.model(stage, settings, at) if stage else None
        self.drafts.append(Draft(name=name, use=str(use), stage=stage, wires=wires, settings=made))
        if stage is None:
            if use is not None:
                text = f"there is no stage {use!r}{near(str(use), STAGES)}" if use else "is missing"
                self.say((*at, "use"), f"{text}; stages: {', '.join(STAGES)}")
            return None
        found = walk(made) if made else self._likely_sources(stage, settings)
        self.outside += [((*at, *where.split(".")), source) for where, source in found]
        return Step(name=name, use=use, stage=made, wires=wires or {}) if made else None

    def _wires(self, at: At, table: Any) -> Wires | None:
        try:
            return _WIRES.validate_python(table)
        except ValidationError:
            self.say((*at, "from"), f"names steps: {{ port = 'step' }}, got {table!r}")
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
                        self.say(at, str(error))


def _members(annotation: Any) -> Iterator[Any]:
    yield annotation
    for inner in get_args(annotation):
        yield from _members(inner)


_WIRES: TypeAdapter[Wires] = TypeAdapter(dict[str, str | tuple[str, ...]])

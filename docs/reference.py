"""Write docs/reference.md from the code: ``python docs/reference.py``; a test holds it fresh."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import get_args

from pydantic import BaseModel

from edgepipe.pipeline.gate import Gate
from edgepipe.pipeline.graph import ports
from edgepipe.pipeline.settings import RunSettings
from edgepipe.stages import STAGES, stage_class

PAGE = Path(__file__).with_suffix(".md")
HEAD = """# Pipeline files: reference

Generated from the code by `python docs/reference.py`; do not edit.

A pipeline file is TOML: `name`, `task`, a `[run]` table, one `[step.NAME]` table a step with
`use = "STAGE"`, and `[[gate]]` tables. `from` wires a step's inputs to other steps by name; a list
input takes several. Paths are relative to the file. `edgepipe schema` prints the JSON Schema.
"""


def render() -> str:
    """The whole page."""
    stages = [_stage(use) for use in STAGES]
    gates = [_gate(gate) for gate in get_args(get_args(Gate)[0])]
    run = f"## `[run]`\n\n{_prose(RunSettings)}\n\n{_settings(RunSettings)}"
    return "\n\n".join([HEAD.strip(), run, *stages, *gates]) + "\n"


def _stage(use: str) -> str:
    stage = stage_class(use)
    wires = ports(stage).values()
    takes = [f"`{p.name}`: {p}{' (optional)' if p.optional else ''}" for p in wires]
    inputs = "; ".join(takes) or "none: outside files enter here"
    flow = f"Inputs: {inputs}. Makes: {stage.makes.__name__}."
    return f'## `use = "{use}"`\n\n{_prose(stage)}\n\n{flow}\n\n{_settings(stage)}'


def _gate(gate: type[BaseModel]) -> str:
    measure = get_args(gate.model_fields["measure"].annotation)[0]
    return f'## `[[gate]]` `measure = "{measure}"`\n\n{_prose(gate)}\n\n{_settings(gate)}'


def _prose(model: type) -> str:
    return inspect.cleandoc(model.__doc__ or "")


def _settings(model: type[BaseModel]) -> str:
    rows = [_row(name, model) for name in model.model_fields if name != "measure"]
    return "\n".join(["| setting | default | |", "| --- | --- | --- |", *rows])


def _row(name: str, model: type[BaseModel]) -> str:
    field = model.model_fields[name]
    default = "required" if field.is_required() else f"`{_value(field.default)}`"
    about = " ".join((field.description or "").split()).replace("|", "\\|")
    return f"| `{name}` | {default} | {about} |"


def _value(value: object) -> str:
    if isinstance(value, BaseModel):
        return json.dumps(value.model_dump(mode="json"))
    return "not set" if value is None else json.dumps(value)


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")

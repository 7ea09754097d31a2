"""The JSON Schemas of pipeline and policy files, which editors complete from."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from edgepipe.config.load import NAME, RESERVED, TASKS
from edgepipe.pipeline.gate import Gate
from edgepipe.pipeline.graph import Port, ports
from edgepipe.pipeline.settings import RunSettings
from edgepipe.stages import STAGES, stage_class


def json_schema() -> dict[str, Any]:
    """A Draft 2020-12 schema that every valid pipeline file fits, with one branch a stage."""
    defs: dict[str, Any] = {}
    name = {"type": "string", "pattern": f"^{NAME.pattern}$"}
    steps = [_step(use, defs) for use in STAGES]
    gate = _hoist(TypeAdapter(Gate).json_schema(ref_template="#/$defs/{model}"), defs)
    run = _hoist(RunSettings.model_json_schema(ref_template="#/$defs/{model}"), defs)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "edgepipe pipeline",
        "type": "object",
        "required": ["name", "task", "step"],
        "additionalProperties": False,
        "properties": {
            "name": {**name, "not": {"enum": list(RESERVED)}},
            "task": {"enum": list(TASKS)},
            "run": run,
            "step": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": name,
                "additionalProperties": {"oneOf": steps},
            },
            "gate": {"type": "array", "items": gate},
        },
        "$defs": defs,
    }


def policy_schema() -> dict[str, Any]:
    """A Draft 2020-12 schema that every valid policy file fits."""
    defs: dict[str, Any] = {}
    gate = _hoist(TypeAdapter(Gate).json_schema(ref_template="#/$defs/{model}"), defs)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "edgepipe policy",
        "type": "object",
        "required": ["gate"],
        "additionalProperties": False,
        "properties": {
            "baseline": {
                "type": "string",
                "minLength": 1,
                "description": "a report, or a folder of reports; relative to this file",
            },
            "gate": {"type": "array", "minItems": 1, "items": gate},
        },
        "$defs": defs,
    }


def _step(use: str, defs: dict[str, Any]) -> dict[str, Any]:
    stage = stage_class(use)
    schema = _hoist(stage.model_json_schema(ref_template="#/$defs/{model}"), defs)
    wires = ports(stage)
    properties = {"use": {"const": use}, **schema.get("properties", {})}
    required = ["use", *schema.get("required", [])]
    if wires:
        properties["from"] = _wires(wires)
    if any(not port.optional for port in wires.values()):
        required.append("from")
    return {**schema, "properties": properties, "required": required}


def _wires(wires: dict[str, Port]) -> dict[str, Any]:
    one = {"type": "string", "description": "the name of a step"}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [name for name, port in wires.items() if not port.optional],
        "properties": {
            name: {"type": "array", "items": one, "minItems": 1, "uniqueItems": True}
            if port.many
            else one
            for name, port in wires.items()
        },
    }


def _hoist(schema: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    defs.update(schema.pop("$defs", {}))
    return schema

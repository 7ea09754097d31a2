"""What a result depends on, as named parts, so that a cache miss can say which part changed."""

from __future__ import annotations

import ast
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel

from edgepipe import disk
from edgepipe.artifacts import Artifact
from edgepipe.measure.machine import machine, machine_id
from edgepipe.pipeline.graph import Step
from edgepipe.pipeline.settings import RunSettings
from edgepipe.sources import walk
from edgepipe.stage import version_of

Key = Mapping[str, str]
Inputs = Mapping[str, Artifact | Mapping[str, Artifact] | None]
_FRAME = ("edgepipe.errors", "edgepipe.disk", "edgepipe.artifacts", "edgepipe.stage")


def key_of(step: Step, inputs: Inputs, run: RunSettings, name: str) -> dict[str, str]:
    """Everything the result of ``step`` depends on, one named part each."""
    stage = step.stage
    key = {
        "stage": step.use,
        "version": stage.version,
        "code": code_hash(type(stage).__module__),
        **{f"setting {name}": value for name, value in _settings(stage)},
        **{f"source {where}": disk.digest(path) for where, path in stage.reads().items()},
        **{f"input {port}": _digest(artifact) for port, artifact in inputs.items()},
        **{f"tool {name}": version_of(name) for name in stage.tools},
    }
    if "name" in stage.depends:
        key["name"] = name
    if "seed" in stage.depends:
        key["seed"] = str(run.seed)
    if "cpu" in stage.depends:
        key["cpu"] = ",".join(machine().features)
    if "device" in stage.depends or stage.measures:
        key["device"] = run.device
    if stage.measures:
        key |= {"machine": machine_id(), "threads": str(run.threads)}
    return key


def key_digest(key: Key) -> str:
    """32 hex digits that name the cache entry of ``key``."""
    return hashlib.sha256(json.dumps(dict(key), sort_keys=True).encode()).hexdigest()[:32]


def changes(old: Key, new: Key) -> list[str]:
    """One line for each part that differs, with old and new value where a person can read them."""
    return [
        _change(part, old.get(part), new.get(part))
        for part in sorted(old.keys() | new.keys())
        if old.get(part) != new.get(part)
    ]


def _change(part: str, old: str | None, new: str | None) -> str:
    if part.startswith(("setting ", "tool ", "seed", "device", "threads", "version")):
        return f"{part}: {old or 'absent'} -> {new or 'absent'}"
    return f"{part} changed"


def _settings(stage: BaseModel) -> Iterator[tuple[str, str]]:
    """Settings as JSON; a Source enters by its content instead, under ``source``."""
    outside = {name for name, _ in walk(stage)}
    for name, value in stage.model_dump(mode="json").items():
        if name not in outside:
            yield name, json.dumps(value, sort_keys=True)


def _digest(artifact: Artifact | Mapping[str, Artifact] | None) -> str:
    if artifact is None:
        return "absent"
    if isinstance(artifact, Artifact):
        return artifact.digest
    return json.dumps({name: a.digest for name, a in artifact.items()})


@functools.cache
def code_hash(module: str) -> str:
    """SHA-256 over the syntax trees of ``module`` and of the edgepipe code it imports.

    Comments and layout do not count; the frame itself (errors, disk, artifacts, stage) does not
    either: ``Stage.version`` stands for what it changes.
    """
    total = hashlib.sha256()
    for name, tree in sorted(_reachable(module).items()):
        total.update(f"{name}\0{ast.dump(tree)}\n".encode())
    return total.hexdigest()[:16]


def _reachable(module: str) -> dict[str, ast.Module]:
    found: dict[str, ast.Module] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = None if name in found or name in _FRAME else _file(name)
        if path is not None:
            found[name] = ast.parse(path.read_bytes())
            waiting += _imports(found[name])
    return found


def _file(module: str) -> Path | None:
    """The source of an edgepipe module, found without importing anything; None for other names."""
    root, *names = module.split(".")
    if root != "edgepipe" or not names:
        return None
    place = Path(__file__).parents[1].joinpath(*names)
    candidates = (place.with_suffix(".py"), place / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)


def _imports(tree: ast.Module) -> Iterator[str]:
    """Modules that ``tree`` may import: ``from a import b`` gives both ``a`` and ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)

"""One graph, many forms: what ``optimize`` builds, checks and then times."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgepipe.artifacts import OnnxModel, SessionSettings
from edgepipe.bundle import manifest
from edgepipe.convert.folders import copy_beside
from edgepipe.errors import EdgepipeError
from edgepipe.graph import store
from edgepipe.graph.quantize_dynamic import DynamicSettings, quantize
from edgepipe.graph.transforms import Refused, Rewritten, Transform, changes
from edgepipe.runtime import load

Logits = NDArray[np.float32]
Form = Literal["int8", "fp32"]
_GRAPH = "model"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A float32 model that answers as the first one does, and the folder that is timed for it."""

    model: OnnxModel
    timed: Path
    notes: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Judge:
    """What every candidate is held against."""

    texts: list[str]
    expected: Logits
    """Of the first model, float32 ``[texts, labels]``."""
    device: Literal["cpu", "cuda"]
    tolerance: float
    """Largest error as a share of the largest logit expected."""

    def error(self, folder: Path) -> float:
        """That share for the model in ``folder``; NaN where one of its logits is."""
        found = answers(folder, self.texts, self.device)
        return float(np.abs(found - self.expected).max() / np.abs(self.expected).max())


def answers(folder: Path, texts: list[str], device: Literal["cpu", "cuda"]) -> Logits:
    """What the model in ``folder`` says in batches of like length, float32 ``[texts, labels]``."""
    with load(folder, device=device, threads=1) as classifier:
        return classifier.logits(texts)


def build(
    model: OnnxModel, transform: Transform, folder: Path, form: Form, judge: Judge
) -> Candidate | Refused:
    """The candidate in ``folder``, or why there is none: no match, an error, other answers."""
    try:
        made = transform(model.path / model.graphs[_GRAPH].file)
        if isinstance(made, Refused):
            return made
        changed = changes(model.path / model.graphs[_GRAPH].file, made.graph)
        record = _write(model, made, folder / "fp32")
        error = judge.error(record.path)
        if not error <= judge.tolerance:  # NaN fails too
            return Refused(f"its answers differ by {error:.3g} of the largest logit")
        timed = record.path if form == "fp32" else _int8(record, folder / "int8")
    except EdgepipeError as refused:
        return Refused(str(refused).replace(f"{folder}/", ""))  # notes name no scratch folder
    operators = {name: list(counts) for name, counts in changed.items()}
    notes = {"matched": made.matched, "operators": operators, "error": float(f"{error:.3g}")}
    return Candidate(model=record, timed=timed, notes=notes)


def _write(model: OnnxModel, made: Rewritten, folder: Path) -> OnnxModel:
    """``model`` with another graph and session, complete in ``folder``."""
    copy_beside(model, folder)
    old = model.graphs[_GRAPH]
    store.write(made.graph, folder / old.file)
    store.check(folder / old.file)
    graph = old.model_copy(update={"session": _merged(old.session, made.session)})
    record = model.model_copy(update={"path": folder, "digest": "", "graphs": {_GRAPH: graph}})
    manifest.describe(record)
    return record


def _int8(record: OnnxModel, folder: Path) -> Path:
    copy_beside(record, folder)
    file = record.graphs[_GRAPH].file
    quantize(record.path / file, folder / file, DynamicSettings())
    manifest.describe(record.model_copy(update={"path": folder, "precision": "int8"}))
    return folder


def _merged(old: SessionSettings, new: SessionSettings) -> SessionSettings:
    """What the graph needed before, and what it needs now."""
    disabled = dict.fromkeys((*old.disabled_optimizers, *new.disabled_optimizers))
    return old.model_copy(update={"disabled_optimizers": tuple(disabled)})

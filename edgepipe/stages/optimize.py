"""OnnxModels to the OnnxModel that runs fastest here: graphs times transforms, each one timed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from edgepipe import disk
from edgepipe.artifacts import Dataset, OnnxModel
from edgepipe.bundle import manifest
from edgepipe.errors import StageError
from edgepipe.stage import Device, Named, Stage, Work

if TYPE_CHECKING:
    from edgepipe.convert.candidates import Candidate

Figures = dict[str, dict[str, float]]
Name = Literal["sum", "no-skip-layer-norm", "none", "ort-fusions", "ort-optimizer"]
_GRAPH = "model"
_CHECK_TEXTS = 32


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Exports of one checkpoint, and the texts to compare them on."""

    models: Named[OnnxModel]
    data: Dataset


@dataclass
class _Found:
    """Candidates in order of preference, and those dropped with the reason."""

    kept: dict[str, Candidate] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)


class Optimize(Stage[Inputs, OnnxModel]):
    """Keep the fastest of several graphs and session settings that give the same answers.

    What pays differs by processor and precision, and fusing more is often slower; so it is
    measured. Candidates within 3 % of the fastest count as equal and the first listed wins: models
    in their order, and for each the ``candidates`` in theirs.
    """

    inputs = Inputs
    makes = OnnxModel
    tools = ("transformers", "onnx", "onnx-ir", "onnxscript", "onnxruntime", "tokenizers")
    depends = frozenset({"seed", "device"})
    measures = True

    candidates: Annotated[tuple[Name, ...], Field(min_length=1)] = (
        "sum", "no-skip-layer-norm", "none", "ort-fusions", "ort-optimizer",
    )  # fmt: skip
    timed_as: Literal["int8", "fp32"] = "int8"
    """Time candidates in the form that ships: ``int8`` quantizes each in passing, on the CPU."""
    texts: Annotated[int, Field(ge=1)] = 64
    """Validation texts that are timed."""
    tolerance: Annotated[float, Field(gt=0, lt=1)] = 1e-4
    """Largest error against the first model, as a share of the largest logit."""

    def requires(self, inputs: Inputs) -> None:
        """Float32 exports with the same labels."""
        if not inputs.models:
            raise StageError("optimize needs at least one exported model")
        first = next(iter(inputs.models.values()))
        for name, model in inputs.models.items():
            if model.precision != "fp32" or set(model.graphs) != {_GRAPH}:
                raise StageError(
                    f"{name} is {model.precision} with graphs {sorted(model.graphs)}; optimize "
                    f"takes fp32 models with one graph {_GRAPH!r}: put it before quantize"
                )
            if model.labels != first.labels:
                raise StageError(f"{name} has labels {model.labels}, the first {first.labels}")

    def run(self, inputs: Inputs, into: Path, work: Work) -> OnnxModel:
        """Build, check, time, and keep one."""
        from edgepipe.convert.folders import copy_beside, copy_graphs
        from edgepipe.measure.texts import sample

        texts = sample(inputs.data, "validation", max(self.texts, _CHECK_TEXTS), seed=work.seed)
        with disk.scratch(work.path, "candidates-") as scratch:
            found = self._build(inputs, texts[:_CHECK_TEXTS], scratch, work)
            chosen, figures = self._choose(found, texts[: self.texts], work)
            winner = found.kept[chosen].model
            copy_beside(winner, into)
            copy_graphs(winner, into)
        notes = {**winner.notes, "optimize": self._notes(found, chosen, figures)}
        made = winner.model_copy(update={"path": into, "notes": notes})
        manifest.describe(made)
        return made

    def _device(self, work: Work) -> Device:
        """Dynamic int8 is for CPUs, whatever the run trains on."""
        return "cpu" if self.timed_as == "int8" else work.device

    def _build(self, inputs: Inputs, texts: list[str], scratch: Path, work: Work) -> _Found:
        """Every model under every transform, held against the first model as it came."""
        from edgepipe.convert.candidates import Candidate, Judge, answers, build
        from edgepipe.convert.fusions import transforms

        device = self._device(work)
        known = transforms(device)
        expected = answers(next(iter(inputs.models.values())).path, texts, device)
        judge = Judge(texts=texts, expected=expected, device=device, tolerance=self.tolerance)
        pairs = [(name, candidate) for name in inputs.models for candidate in self.candidates]
        found = _Found()
        for place, (name, candidate) in enumerate(pairs):
            label = f"{name}/{candidate}"
            work.progress(place, len(pairs), f"building {label}")
            folder = scratch / str(place)
            built = build(inputs.models[name], known[candidate], folder, self.timed_as, judge)
            if isinstance(built, Candidate):
                found.kept[label] = built
            else:
                found.dropped[label] = built.reason
        return found

    def _choose(self, found: _Found, texts: list[str], work: Work) -> tuple[str, Figures]:
        """The first of the fastest and the whole table; a single candidate is not timed."""
        from edgepipe.measure.child import onnx_arm
        from edgepipe.measure.latency import fastest

        if not found.kept:
            reasons = "; ".join(f"{name}: {why}" for name, why in found.dropped.items())
            raise StageError(f"no candidate is left: {reasons}")
        if len(found.kept) == 1:
            return next(iter(found.kept)), {}
        device = self._device(work)
        arms = [
            onnx_arm(name, candidate.timed, device=device, threads=work.threads)
            for name, candidate in found.kept.items()
        ]
        work.progress(0, 1, f"timing {len(arms)} candidates as {self.timed_as}")
        return fastest(arms, texts, threads=work.threads, seed=work.seed, device=device)

    def _notes(self, found: _Found, chosen: str, figures: Figures) -> dict[str, Any]:
        table = {name: {**one.notes, **figures.get(name, {})} for name, one in found.kept.items()}
        choice = {"chosen": chosen, "timed_as": self.timed_as}
        return {**choice, "candidates": table, "dropped": found.dropped}

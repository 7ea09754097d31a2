"""ONNX file to OnnxModel: a text classifier from elsewhere, copied and checked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from edgepipe import disk
from edgepipe.artifacts import GraphRecord, OnnxModel, Provenance
from edgepipe.bundle import manifest
from edgepipe.errors import EdgepipeError, StageError
from edgepipe.sources import Source
from edgepipe.stage import Stage, Work

if TYPE_CHECKING:
    import onnx_ir

GRAPH = "model.onnx"
_TOKENIZER = "tokenizer.json"
_OPTIONAL = ("tokenizer_config.json", "config.json")


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Nothing: an outside file enters here."""


class ImportOnnx(Stage[Inputs, OnnxModel]):
    """Take an ONNX file from elsewhere: an export of optimum, a model of the Hub, another's bundle.

    Nothing is proven about its answers, for there is no torch model to compare with; ``validate``
    says what they are worth.
    """

    inputs = Inputs
    makes = OnnxModel
    tools = ("onnx", "onnx-ir", "onnxruntime", "tokenizers")

    model: Source
    """An ``.onnx`` file, or a folder that holds one (``model.onnx``, ``onnx/model.onnx``)."""
    max_length: Annotated[int, Field(ge=1)]
    """Tokens, special ones included; longer texts are cut."""
    tokenizer: Source | None = None
    """A folder with ``tokenizer.json``; default: the model's folder, else its parent."""
    labels: tuple[str, ...] | None = None
    """In the order of the logits; default: ``id2label`` of ``config.json``."""

    def reads(self) -> dict[str, Path]:
        """Also what lies beside the graph: its weights, the tokenizer, the configuration."""
        from edgepipe.graph import intake, store

        source = intake.find(self.model.locate())
        beside = [*store.files(source), *_places(self._tokenizer_folder(source), source.parent)]
        return {path.name: path for path in beside}

    def run(self, inputs: Inputs, into: Path, work: Work) -> OnnxModel:  # noqa: ARG002
        """Check first, copy after."""
        from edgepipe.graph import intake, precision, store

        source = intake.find(self.model.locate())
        folder = self._tokenizer_folder(source)
        config = _config(folder, source.parent)
        labels = self._labels(config, folder)
        graph = intake.accept(source, len(labels))
        _copy(source, graph, into)
        for place in _places(folder, source.parent):
            disk.copy_file(place, into / place.name)
        takes, gives = store.signature(graph)
        made = OnnxModel(
            path=into,
            task="text-classification",
            labels=labels,
            max_length=self.max_length,
            pad_token_id=config.get("pad_token_id") or 0,
            precision=precision.precision(graph),
            graphs={"model": GraphRecord(file=GRAPH, inputs=takes, outputs=gives)},
            model_type=config.get("model_type") or "",
            opset=intake.opset(graph),
            provenance=Provenance(source=str(self.model), sha256=disk.sha256(source)),
            notes={"operators": store.op_counts(graph)},
        )
        manifest.describe(made)
        return made

    def ensures(self, made: OnnxModel) -> None:
        """The runtime loads it and answers."""
        from edgepipe.runtime import load

        try:
            with load(made.path, threads=1) as classifier:
                found = classifier.logits(["a text", "and one that is longer"])
        except EdgepipeError as error:
            raise StageError(f"{self.model} loads but does not work: {error}") from error
        if found.shape[1] != len(made.labels):
            raise StageError(f"{self.model} gives {found.shape[1]} logits, not {len(made.labels)}")

    def _tokenizer_folder(self, source: Path) -> Path:
        """Where ``tokenizer.json`` is; StageError where it is not."""
        if self.tokenizer is not None:
            places = [self.tokenizer.locate()]
        else:
            places = [source.parent, source.parent.parent]
        for place in places:
            if (place / _TOKENIZER).is_file():
                return place
        searched = " and ".join(str(place) for place in places)
        raise StageError(f"no {_TOKENIZER} in {searched}; name its folder in 'tokenizer'")

    def _labels(self, config: dict[str, Any], folder: Path) -> tuple[str, ...]:
        if self.labels is not None:
            return self.labels
        try:
            named = {int(index): str(name) for index, name in config["id2label"].items()}
            return tuple(named[index] for index in range(len(named)))
        except (KeyError, ValueError, AttributeError) as error:
            raise StageError(
                f"no config.json in {folder} names the labels; give them in 'labels'"
            ) from error


def _places(*folders: Path) -> Iterator[Path]:
    """Tokenizer and configuration, each from the first folder that has it."""
    for name in (_TOKENIZER, *_OPTIONAL):
        yield from [f / name for f in folders if (f / name).is_file()][:1]


def _config(*folders: Path) -> dict[str, Any]:
    """The first ``config.json`` found; empty where there is none."""
    for folder in folders:
        file = folder / "config.json"
        if file.is_file():
            try:
                found = json.loads(file.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise StageError(f"{file} cannot be read: {error}") from error
            return found if isinstance(found, dict) else {}
    return {}


def _copy(source: Path, graph: onnx_ir.Model, into: Path) -> None:
    """The file byte for byte; with external data under any name, written anew under ours."""
    from edgepipe.graph import store

    if store.is_external(graph):
        store.write(graph, into / GRAPH)
    else:
        disk.copy_file(source, into / GRAPH)

"""OnnxModels to one folder that Hugging Face tools, transformers.js and the runtime load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edgepipe import disk
from edgepipe.artifacts import Bundle, GraphRecord, OnnxModel
from edgepipe.bundle import card, manifest
from edgepipe.bundle.external import save_as
from edgepipe.bundle.manifest import Accuracy, Manifest, Variant
from edgepipe.errors import StageError

SUFFIX = {"fp32": "", "fp16": "_fp16", "int8": "_quantized", "q4": "_q4"}
COMMON = ("config.json", "tokenizer.json", "tokenizer_config.json", "golden.jsonl")


def check(models: Mapping[str, OnnxModel]) -> None:
    """Raise StageError unless ``models`` are variants of one model, each of its own precision."""
    if not models:
        raise StageError("a bundle needs one variant or more; variants is empty")
    (first_name, first), *others = models.items()
    for name, model in others:
        for what in ("task", "labels", "max_length", "pad_token_id"):
            if getattr(model, what) != getattr(first, what):
                raise StageError(
                    f"variants of one bundle share their {what}: {first_name} has "
                    f"{getattr(first, what)}, {name} has {getattr(model, what)}"
                )
        if disk.sha256(model.path / "tokenizer.json") != disk.sha256(first.path / "tokenizer.json"):
            raise StageError(f"{first_name} and {name} have different tokenizers")
    precisions = [model.precision for model in models.values()]
    for name, model in models.items():
        if precisions.count(model.precision) > 1:
            raise StageError(f"{name}: two variants are {model.precision}; a bundle holds one each")


def assemble(  # noqa: PLR0913 - one call, everything named
    models: Mapping[str, OnnxModel],
    accuracy: Mapping[str, Accuracy],
    into: Path,
    *,
    name: str,
    data: str,
    tools: Mapping[str, str] | None = None,
) -> Bundle:
    """``into`` is a bundle of ``models`` in order of preference; no tolerances yet.

    ``accuracy`` is by the same names as ``models``; ``data`` is the dataset's digest,
    ``tools`` versions by name.
    """
    check(models)
    first = next(iter(models.values()))
    for file in COMMON:
        if (first.path / file).exists():
            disk.copy_file(first.path / file, into / file)
    variants = tuple(
        _variant(model, into).model_copy(update={"accuracy": accuracy.get(step)})
        for step, model in models.items()
    )
    made = Manifest(
        name=name,
        task=first.task,
        labels=first.labels,
        max_length=first.max_length,
        pad_token_id=first.pad_token_id,
        variants=variants,
        files={},
        provenance=first.provenance,
        data=data,
        tools=dict(tools or {}),
    )
    finish(made, into)
    return Bundle(path=into, name=name, variants=tuple(v.name for v in variants))


def finish(made: Manifest, into: Path) -> None:
    """Write the model card and a manifest that names every file beside it."""
    disk.write_text(into / "README.md", card.render(made))
    files = manifest.file_records(into)
    manifest.write(made.model_copy(update={"files": files}), into)


def with_tolerances(into: Path, made: Bundle, tolerances: Sequence[float]) -> Bundle:
    """The same bundle, its manifest saying how far each variant may lie from the golden outputs."""
    before = manifest.read(into)
    variants = tuple(
        v.model_copy(update={"tolerance": t})
        for v, t in zip(before.variants, tolerances, strict=True)
    )
    finish(before.model_copy(update={"variants": variants}), into)
    return made


def _variant(model: OnnxModel, into: Path) -> Variant:
    graphs: dict[str, GraphRecord] = {}
    for name, graph in model.graphs.items():
        stem = "model" if name == "model" else f"{name}_model"
        file = f"onnx/{stem}{SUFFIX[model.precision]}.onnx"
        save_as(model.path / graph.file, into / file)
        graphs[name] = graph.model_copy(update={"file": file})
    return manifest.variant_of(model, model.precision).model_copy(update={"graphs": graphs})

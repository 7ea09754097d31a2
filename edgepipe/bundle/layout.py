"""OnnxModels to one folder that Hugging Face tools, transformers.js and the runtime load."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgepipe import disk
from edgepipe.artifacts import Bundle, GraphRecord, OnnxModel
from edgepipe.bundle import bom, card, manifest, metadata, provenance
from edgepipe.bundle.external import save_as
from edgepipe.bundle.manifest import Accuracy, Manifest, Variant
from edgepipe.errors import StageError

SUFFIX = {"fp32": "", "fp16": "_fp16", "int8": "_quantized", "q4": "_q4"}
COMMON = ("config.json", "tokenizer.json", "tokenizer_config.json", "golden.jsonl")
DOCUMENTS = (card.FILE, bom.FILE, provenance.FILE)
"""Files about the other files."""


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
        if manifest.problem_type_of(model.path) != manifest.problem_type_of(first.path):
            raise StageError(f"{first_name} and {name} have different problem types")
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

    fp16 comes before fp32 whatever the order, since no device would ever get it after that.
    ``accuracy`` is by the same names as ``models``; ``data`` is the dataset's digest,
    ``tools`` versions by name.
    """
    check(models)
    first = next(iter(models.values()))
    for file in COMMON:
        if (first.path / file).exists():
            disk.copy_file(first.path / file, into / file)
    _keep_readable(into / "tokenizer_config.json")
    ordered = _ordered(models)
    draft = Manifest(
        name=name,
        task=first.task,
        problem_type=manifest.problem_type_of(first.path),
        labels=first.labels,
        max_length=first.max_length,
        pad_token_id=first.pad_token_id,
        variants=tuple(_variant(model, accuracy.get(step)) for step, model in ordered),
        files=manifest.file_records(into),
        provenance=first.provenance.model_copy(
            update={"source": provenance.public(first.provenance.source)}
        ),
        data=data,
        tools=dict(tools or {}),
    )
    properties = metadata.properties(draft)
    for (_, model), variant in zip(ordered, draft.variants, strict=True):
        for graph, record in variant.graphs.items():
            save_as(model.path / model.graphs[graph].file, into / record.file, properties)
    _finish(draft.model_copy(update={"files": manifest.file_records(into)}), into)
    return Bundle(path=into, name=name, variants=tuple(v.name for v in draft.variants))


def _ordered(models: Mapping[str, OnnxModel]) -> list[tuple[str, OnnxModel]]:
    names = {model.precision: name for name, model in models.items()}
    order = [name for name in models if name != names.get("fp16")]
    if "fp16" in names:
        latest = order.index(names["fp32"]) if "fp32" in names else len(order)
        order.insert(min(latest, list(models).index(names["fp16"])), names["fp16"])
    return [(name, models[name]) for name in order]


def _finish(made: Manifest, into: Path) -> None:
    """Write what speaks about the other files, which ``made`` lists, and the manifest of all."""
    config = _config(into)
    disk.write_text(into / card.FILE, card.render(made, config))
    disk.write_json(into / bom.FILE, bom.render(made, config))
    disk.write_json(into / provenance.FILE, provenance.render(made, config))
    about = manifest.file_records(into, DOCUMENTS)
    manifest.write(made.model_copy(update={"files": {**made.files, **about}}), into)


def _keep_readable(file: Path) -> None:
    """Tokenizer settings of transformers 5 say in the words of transformers 4 what both read.

    The generic class has a new name there, and further special tokens are a list under a name that
    held an object before; transformers 4, optimum's ORTModel among it, fails on either.
    """
    if not file.exists():
        return
    settings = _object(file)
    before = dict(settings)
    if settings.get("tokenizer_class") == "TokenizersBackend":
        settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    if isinstance(settings.get("extra_special_tokens"), list):
        settings["additional_special_tokens"] = settings.pop("extra_special_tokens")
    if settings != before:
        disk.write_json(file, settings)


def _config(into: Path) -> dict[str, Any]:
    """``config.json``, where there is one."""
    file = into / "config.json"
    return _object(file) if file.exists() else {}


def _object(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StageError(f"{file.name} is damaged: {error}") from error
    if not isinstance(found, dict):
        raise StageError(f"{file.name} is damaged: it holds no object")
    return found


def with_tolerances(into: Path, made: Bundle, tolerances: Sequence[float]) -> Bundle:
    """The same bundle, its manifest saying how far each variant may lie from the golden outputs."""
    before = manifest.read(into)
    variants = tuple(
        v.model_copy(update={"tolerance": t})
        for v, t in zip(before.variants, tolerances, strict=True)
    )
    files = {name: record for name, record in before.files.items() if name not in DOCUMENTS}
    _finish(before.model_copy(update={"variants": variants, "files": files}), into)
    return made


def _variant(model: OnnxModel, accuracy: Accuracy | None) -> Variant:
    """One precision as it lies in a bundle, whose rules say more than those of a single model."""
    graphs: dict[str, GraphRecord] = {}
    for name, graph in model.graphs.items():
        stem = "model" if name == "model" else f"{name}_model"
        file = f"onnx/{stem}{SUFFIX[model.precision]}.onnx"
        graphs[name] = graph.model_copy(update={"file": file})
    alone = manifest.variant_of(model, model.precision, accuracy)
    changes: dict[str, object] = {"graphs": graphs}
    if model.precision == "fp16":  # a CPU computes it in fp32, with a cast around every operator
        changes["devices"] = ("cuda",)
    return alone.model_copy(update=changes)

"""What a model is: an ONNX file, a classifier already fine-tuned, or a base to fine-tune."""

from __future__ import annotations

import difflib
import importlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edgepipe.errors import MissingDependencyError, UsageError
from edgepipe.sources import Source

Kind = Literal["base", "classifier", "onnx"]
TASK = "text-classification"
_BASE_TASKS = ("feature-extraction", "fill-mask", "sentence-similarity")
_LONGEST = 512
_TWO = {"0": "LABEL_0", "1": "LABEL_1"}


@dataclass(frozen=True, kw_only=True)
class ModelGuess:
    """What was found in the model's folder."""

    kind: Kind
    why: str
    """The evidence, for a person."""
    layers: int = 0
    labels: tuple[str, ...] = ()
    limit: int = _LONGEST
    """Tokens the model can read."""
    unknown: float = 0.0
    """Share of the sample's tokens that the tokenizer does not know."""
    truncated: float = 0.0
    """Share of the sample's texts that are longer than ``limit``."""


def look_at_model(
    model: Source, labels: Sequence[str], texts: Sequence[str], task: str | None
) -> ModelGuess:
    """Read configuration and tokenizer of ``model``; no weights are loaded.

    Raises UsageError when it is no model, or one for another task and ``task`` was not given.
    """
    place = model.locate()
    if place.is_file() and place.suffix != ".onnx":
        raise UsageError(f"{model}: a model is a folder or an .onnx file")
    if place.is_file() or _holds_only_onnx(place):
        return _onnx(place, model, labels)
    config = _config(place, model)
    unknown, truncated, limit = _read_texts(place, model, texts, _limit(config))
    kind, why = _kind(config, labels, task, model)
    return ModelGuess(
        kind=kind,
        why=why,
        layers=_layers(config),
        labels=_labels(config, model) if kind == "classifier" else (),
        limit=limit,
        unknown=unknown,
        truncated=truncated,
    )


def _holds_only_onnx(place: Path) -> bool:
    """What optimum exports, and bundles of our own: a graph and no weights to train on."""
    graphs = (place / "model.onnx", place / "onnx" / "model.onnx")
    return any(g.is_file() for g in graphs) and not list(place.glob("*.safetensors"))


def _onnx(place: Path, model: Source, labels: Sequence[str]) -> ModelGuess:
    """An ONNX file brings its labels where a config.json lies beside it, or one folder up."""
    folders = [f for f in (place, *place.parents[:2]) if (f / "config.json").is_file()]
    if not folders:
        why = "an ONNX file; that it answers in the order of the sorted labels is a guess"
        return ModelGuess(kind="onnx", why=why, labels=tuple(labels))
    config = _config(folders[0], model)
    names = _labels(config, model)
    if not _fits(names, labels):
        raise UsageError(
            f"{model}: its config.json names the labels {', '.join(names)}, and the data has "
            f"{', '.join(labels)}; an ONNX file cannot be trained for others"
        )
    why = "an ONNX file with its config.json"
    return ModelGuess(kind="onnx", why=why, labels=names, limit=_limit(config))


def _config(place: Path, model: Source) -> dict[str, Any]:
    try:
        found = json.loads((place / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{model}: no readable config.json in {place}: {error}") from error
    if not isinstance(found, dict) or "model_type" not in found:
        raise UsageError(
            f"{model}: config.json names no model_type, so the architecture is unknown"
        )
    return found


def _kind(
    config: dict[str, Any], labels: Sequence[str], task: str | None, model: Source
) -> tuple[Kind, str]:
    """A classifier whose labels fit the data is used as it is; anything else is a base."""
    architecture = next(iter(config.get("architectures") or []), "")
    found = _infer_task(architecture, config["model_type"], model)
    if found == TASK:
        names = _labels(config, model)
        if _fits(names, labels):
            return "classifier", f"{architecture} with the labels {', '.join(names)}"
        return "base", f"{architecture}, whose {len(names)} labels are not those of the data"
    if found not in _BASE_TASKS and task is None:
        raise UsageError(
            f"{model}: {architecture} is for {found}; give --task {TASK} to fine-tune it for that"
        )
    return "base", f"{architecture or config['model_type']}, without a classification head"


def _fits(names: Sequence[str], labels: Sequence[str]) -> bool:
    numbers = [str(n) for n in range(len(names))]
    return set(labels) <= set(names) or (set(labels) <= set(numbers) and len(names) == len(labels))


def _infer_task(architecture: str, model_type: str, model: Source) -> str:
    """The task of an architecture, by optimum's TasksManager."""
    importlib.import_module("edgepipe.training")  # holds back what torchao logs when imported
    try:
        import transformers
        from optimum.exporters.tasks import TasksManager
        from transformers.models.auto.modeling_auto import (
            MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as CLASSIFIERS,
        )
    except ImportError as error:
        raise MissingDependencyError("optimum", "build", "looking at a model") from error
    if model_type not in CLASSIFIERS:
        near = difflib.get_close_matches(model_type, list(CLASSIFIERS), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"{model}: transformers knows no {model_type!r} for {TASK}{hint}")
    cls = getattr(transformers, architecture, None)
    if cls is None:
        return "feature-extraction"
    try:
        return str(TasksManager.infer_task_from_model(cls))
    except ValueError:
        return "feature-extraction"


def _labels(config: dict[str, Any], model: Source) -> tuple[str, ...]:
    """``id2label`` in the order of its numbers; transformers means two unnamed ones without it."""
    try:
        named = {int(n): str(name) for n, name in (config.get("id2label") or _TWO).items()}
        return tuple(named[n] for n in range(len(named)))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        found = config["id2label"]
        raise UsageError(f"{model}: config.json has an odd id2label: {found!r:.80}") from error


def _layers(config: dict[str, Any]) -> int:
    for key in ("num_hidden_layers", "n_layers", "num_layers"):
        if isinstance(config.get(key), int):
            return int(config[key])
    return 0


def _limit(config: dict[str, Any]) -> int:
    positions, pad = config.get("max_position_embeddings"), config.get("pad_token_id")
    if not isinstance(positions, int) or positions < 1:
        return _LONGEST
    first = pad + 1 if config["model_type"] in _OFFSET and isinstance(pad, int) else 0
    return max(1, positions - first)


_OFFSET = ("roberta", "xlm-roberta", "camembert", "mpnet")
"""Families whose position ids start after the padding id."""


def _read_texts(
    place: Path, model: Source, texts: Sequence[str], limit: int
) -> tuple[float, float, int]:
    """Shares of unknown tokens and of truncated texts, and the limit in tokens."""
    from tokenizers import Tokenizer

    if not (place / "tokenizer.json").is_file():
        return 0.0, 0.0, limit
    try:
        tokenizer = Tokenizer.from_file(str(place / "tokenizer.json"))
    except Exception as error:  # tokenizers raises bare Exception
        raise UsageError(f"{model}: tokenizer.json is damaged: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    unknown = _unknown_id(tokenizer)
    encoded = [e.ids for e in tokenizer.encode_batch(list(texts))]
    tokens = sum(map(len, encoded)) or 1
    lost = sum(ids.count(unknown) for ids in encoded) if unknown is not None else 0
    longer = sum(len(ids) > limit for ids in encoded)
    return lost / tokens, longer / max(1, len(encoded)), limit


def _unknown_id(tokenizer: Any) -> int | None:
    for token in ("[UNK]", "<unk>"):
        found: int | None = tokenizer.token_to_id(token)
        if found is not None:
            return found
    return None

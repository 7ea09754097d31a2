"""Checkpoint to ONNX graph: the one wrapper around ``transformers.exporters``.

That module calls itself experimental. What it gets wrong is mended or refused here: axis names
that are lost, axes frozen to the traced size and written as text, opsets below 17 replaced in
silence, the build machine's paths on every node. Whether the graph is *right* is ``parity``'s job.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any, Literal

import onnx_ir as ir
import torch

from edgepipe.errors import StageError
from edgepipe.graph import store
from edgepipe.graph.quiet import silenced

Attention = Literal["auto", "eager", "sdpa"]
AXES = ("batch", "sequence")
DEFAULT_OPSET = 20
"""The first with ``Gelu`` as one operator, for which onnxruntime's CPU kernel is faster than its
own BiasGelu fusion; read by onnxruntime since 1.17 (January 2024)."""
_TRACED = (2, 7)
_PADDED = 2
_NAME = re.compile(r"[A-Za-z_]\w*")


def load(folder: Path, attention: Attention = "auto") -> Any:
    """The sequence classifier in ``folder`` in float32 evaluation mode on the CPU.

    ``auto`` is eager attention: its graph needs no guards against rows without any key and runs
    faster on CPUs. ``sdpa`` raises StageError for families that do not have it (MPNet, DeBERTa-v2).
    """
    wanted: Literal["eager", "sdpa"] = "eager" if attention == "auto" else attention
    with silenced():
        from edgepipe.training.load import load_model

        model = load_model(folder, attention=wanted)
    got = model.config._attn_implementation  # noqa: SLF001  # no public name says what was taken
    if got != wanted:
        raise StageError(
            f"{type(model).__name__} has no {wanted} attention in transformers, only {got}; "
            f'set attention = "{got}"'
        )
    return model


def export(model: Any, *, opset: int = DEFAULT_OPSET) -> ir.Model:
    """The ONNX graph of a sequence classifier: inputs ``[batch, sequence]``, int64; ``logits``.

    Traced with two rows, one of them padded: a sample of one row freezes the batch axis, and one
    without padding can lose the mask. Raises StageError when the exporter fails, an input is
    missing, an axis is frozen, or another opset comes out than was asked for.
    """
    sample = _sample(model)
    graph = _traced(model, sample, opset)
    if graph.opset_imports.get("") != opset:
        raise StageError(f"asked for opset {opset}, the exporter made {graph.opset_imports}")
    _name_axes(graph, tuple(sample))
    _strip(graph)
    return graph


def input_names(model: Any) -> tuple[str, ...]:
    """What the graph of ``model`` takes. Segment ids only where there is more than one segment."""
    takes = inspect.signature(model.forward).parameters
    segments = getattr(model.config, "type_vocab_size", 0) or 0
    names = ("input_ids", "attention_mask")
    return (*names, "token_type_ids") if "token_type_ids" in takes and segments > 1 else names


def pad_token_id(model: Any) -> int:
    """The id that fills up shorter rows; the mask hides it, so 0 serves where none is set."""
    known = model.config.pad_token_id
    return 0 if known is None else int(known)


def _sample(model: Any) -> dict[str, torch.Tensor]:
    pad = pad_token_id(model)
    usable = [token for token in range(min(model.config.vocab_size, 32)) if token != pad]
    count = _TRACED[0] * _TRACED[1]
    tokens = (usable * count)[:count]
    ids = torch.tensor(tokens).reshape(_TRACED)
    mask = torch.ones_like(ids)
    ids[1, -_PADDED:], mask[1, -_PADDED:] = pad, 0
    given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
    return {name: given[name] for name in input_names(model)}


def _traced(model: Any, sample: dict[str, torch.Tensor], opset: int) -> ir.Model:
    with silenced():
        import transformers.exporters

        api: Any = transformers.exporters
        try:
            config = api.OnnxConfig(dynamic=True, opset_version=opset)
            graph: ir.Model = api.OnnxExporter().export(model, dict(sample), config).program
        except Exception as error:  # torch.export alone raises dozens of types
            kind = type(model).__name__
            raise StageError(f"{kind} cannot be exported to ONNX: {error}") from error
    return graph


def _name_axes(graph: ir.Model, names: tuple[str, ...]) -> None:
    """Every input is ``[batch, sequence]``, and every other shape says so too."""
    found = tuple(value.name for value in graph.graph.inputs)
    if found != names:
        raise StageError(f"the exported graph takes {found}, not {names}")
    renamed: dict[str, str] = {}
    for value in graph.graph.inputs:
        for axis, new in enumerate(AXES):
            old = _symbol(value, axis, new)
            if renamed.setdefault(old, new) != new:
                raise StageError(f"the exporter tied {new} to {renamed[old]} in {value.name!r}")
    for value in _values(graph):
        if value.shape is not None:
            value.shape = ir.Shape([_dimension(old, renamed) for old in value.shape])
    first = graph.graph.outputs[0]
    if first.name != "logits" or store.dimensions(first)[:1] != (AXES[0],):
        raise StageError(f"the exported graph gives {first}, not logits by batch")


def _symbol(value: ir.Value, axis: int, name: str) -> str:
    """The exporter's name of an axis; StageError when it is a size, perhaps written as text."""
    symbol = str(store.dimensions(value)[axis])
    if not _NAME.fullmatch(symbol):
        raise StageError(f"the {name} axis of {value.name!r} is frozen to {symbol} in the export")
    return symbol


def _dimension(old: Any, renamed: dict[str, str]) -> Any:
    """``s18`` becomes ``batch``, ``"64"`` becomes 64: onnxruntime does not check sizes in text."""
    if isinstance(old, int) or old.value is None:
        return old
    if old.value.isdigit():
        return int(old.value)
    return ir.SymbolicDim(_NAME.sub(lambda name: renamed.get(name[0], name[0]), old.value))


def _values(graph: ir.Model) -> list[ir.Value]:
    inner = [value for node in graph.graph.all_nodes() for value in node.outputs]
    return [*graph.graph.inputs, *graph.graph.outputs, *inner]


def _strip(graph: ir.Model) -> None:
    """No metadata is left: its stack traces name paths of the build machine."""
    weights = graph.graph.initializers.values()
    items: list[Any] = [graph, graph.graph, *_values(graph), *weights, *graph.graph.all_nodes()]
    for item in items:
        item.metadata_props.clear()
        item.doc_string = None

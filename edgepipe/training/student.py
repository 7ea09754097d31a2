"""A teacher to a smaller model of the same architecture that starts from the teacher's weights."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from edgepipe.errors import StageError
from edgepipe.training.load import Attention, build_model
from edgepipe.training.settings import Distillation

_FUSED = {"Wqkv": 3, "Wi": 2}
"""Layers that hold several matrices one above the other (ModernBERT), by name."""


def chosen_layers(settings: Distillation, total: int) -> tuple[int, ...]:
    """The teacher layer that each student layer starts from, of ``total``; rising.

    ``spaced`` takes the first, the last, and evenly between (Shleifer and Rush 2020). Raises
    StageError for more layers than the teacher has, and for layers that do not exist.
    """
    count = settings.layers
    if count > total:
        raise StageError(f"layers = {count}: the teacher has only {total}")
    if settings.from_layers == "spaced":
        return tuple(round(place * (total - 1) / max(1, count - 1)) for place in range(count))
    chosen = settings.from_layers
    if len(chosen) != count or list(chosen) != sorted(set(chosen)) or chosen[-1] >= total:
        raise StageError(
            f"from_layers = {list(chosen)}: expected {count} rising numbers from 0 to {total - 1}"
        )
    return chosen


def student_config(
    teacher: PreTrainedConfig, settings: Distillation, layers: Sequence[int]
) -> PreTrainedConfig:
    """The teacher's architecture with the layers and widths asked for.

    Lists that say something of every layer (ModernBERT's ``layer_types``) keep the chosen layers'
    entries. Raises StageError where the student would be wider than the teacher, or where heads do
    not divide the width.
    """
    config = copy.deepcopy(teacher)
    total = teacher.num_hidden_layers
    groups = getattr(config, "num_hidden_groups", 1)
    if groups > len(layers):
        raise StageError(f"layers = {len(layers)}: the teacher shares {groups} groups of layers")
    for name, value in teacher.to_dict().items():
        if "layer" in name and isinstance(value, list) and len(value) == total:
            setattr(config, name, [value[layer] for layer in layers])
    config.num_hidden_layers = len(layers)
    _set_width(config, settings)
    _narrow(config, _feed_forward(config), settings.intermediate_size)
    return config


def make_student(
    teacher: PreTrainedModel,
    config: PreTrainedConfig,
    layers: Sequence[int],
    attention: Attention = "eager",
) -> PreTrainedModel:
    """A model of ``config`` that starts as the teacher with only the chosen layers.

    Layer i takes the weights of the teacher's layer ``layers[i]``, everything else its namesake's.
    In a narrower student each weight is the leading slice along every axis (of each of its parts,
    where several matrices are fused): whole heads where the head size is kept. What the teacher
    does not have starts from torch's random state. Where all layers share their weights (ALBERT),
    the student repeats them less often.
    """
    student = build_model(config, attention)
    prefix = _layers_prefix(teacher)
    weights = teacher.state_dict()
    with torch.no_grad():
        for name, target in student.state_dict().items():
            source = weights.get(_source_name(name, prefix, layers))
            if source is not None:
                target.copy_(_leading(name, source, target.shape))
    return student


def _set_width(config: PreTrainedConfig, settings: Distillation) -> None:
    width, heads = config.hidden_size, config.num_attention_heads
    _narrow(config, "hidden_size", settings.hidden_size)
    if getattr(config, "pooler_hidden_size", None) == width:
        config.pooler_hidden_size = config.hidden_size
    _narrow(config, "num_attention_heads", settings.heads)
    if settings.heads is None and config.hidden_size * heads % width == 0:
        config.num_attention_heads = config.hidden_size * heads // width
    elif settings.heads is None or config.hidden_size % settings.heads:
        raise StageError(
            f"hidden_size = {config.hidden_size} is not a whole number of heads (the teacher has "
            f"{heads}, {width // heads} wide each); set heads to a divisor of it"
        )


def _feed_forward(config: PreTrainedConfig) -> str:
    return "intermediate_size" if hasattr(config, "intermediate_size") else "hidden_dim"


def _narrow(config: PreTrainedConfig, name: str, asked: int | None) -> None:
    if asked is None:
        return
    has = getattr(config, name)
    if asked > has:
        raise StageError(f"the student cannot be wider than its teacher: {name} {asked} > {has}")
    setattr(config, name, asked)


def _layers_prefix(model: PreTrainedModel) -> str | None:
    """The name of the list of layers; None where all layers share their weights (ALBERT)."""
    total = model.config.num_hidden_layers
    if getattr(model.config, "num_hidden_groups", None) is not None:
        return None
    named = (
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == total
    )
    prefix = min(named, key=lambda name: name.count("."), default=None)
    if prefix is None:
        raise StageError(
            f"the {total} layers of {type(model).__name__} are not where they can be cut"
        )
    return f"{prefix}."


def _source_name(name: str, prefix: str | None, layers: Sequence[int]) -> str:
    """The teacher's name for a student's weight."""
    if prefix is None or not name.startswith(prefix):
        return name
    index, _, rest = name.removeprefix(prefix).partition(".")
    return f"{prefix}{layers[int(index)]}.{rest}"


def _leading(name: str, source: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """The leading part of ``source``, in ``shape``."""
    if source.shape == torch.Size(shape):
        return source
    parts = next((n for layer, n in _FUSED.items() if f".{layer}." in name), 1)
    blocks = source.reshape(parts, source.shape[0] // parts, *source.shape[1:])
    index: tuple[Any, ...] = (slice(None), slice(shape[0] // parts), *(slice(n) for n in shape[1:]))
    return blocks[index].reshape(*shape)

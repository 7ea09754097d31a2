"""AdamW as fine-tuning uses it: no decay on vectors, linear warm-up, linear decay."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn


def adamw(parameters: Mapping[str, nn.Parameter], weight_decay: float) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) over the named parameters, in one fused kernel a step.

    Vectors (biases, normalisation) are not decayed.
    """
    matrices = [p for p in parameters.values() if p.ndim > 1]
    vectors = [p for p in parameters.values() if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], fused=True)


def rate(step: int, total: int, warmup_ratio: float) -> float:
    """The share of the full learning rate at ``step``, counted from 0: up, then down to 0."""
    warmup = math.ceil(total * warmup_ratio)
    if step < warmup:
        return step / warmup
    return max(0.0, (total - step) / max(1, total - warmup))


def set_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Every group of ``optimizer`` moves at ``learning_rate`` from now on."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def moments(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]
) -> dict[str, torch.Tensor]:
    """What the optimizer remembers, as ``NAME/KEY`` to tensor."""
    return {
        f"{name}/{key}": value
        for name, parameter in parameters.items()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def restore_moments(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, nn.Parameter],
    saved: Mapping[str, torch.Tensor],
) -> None:
    """``optimizer`` remembers what ``moments`` gave."""
    for label, value in saved.items():
        name, _, key = label.rpartition("/")
        parameter = parameters[name]
        optimizer.state.setdefault(parameter, {})[key] = value.to(parameter.device)

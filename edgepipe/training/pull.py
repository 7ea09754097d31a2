"""The losses that pull a student towards its teacher, weighed and added."""

from __future__ import annotations

import dataclasses

import torch
from torch import nn
from transformers import PreTrainedModel

from edgepipe.training import losses
from edgepipe.training.batches import Batch
from edgepipe.training.classification import CrossEntropy
from edgepipe.training.knowledge import Inner, Insides, Wanted
from edgepipe.training.settings import Distillation

_NOTHING = Wanted(layers=(), hidden=False, attention=False)


class InnerPull(nn.Module):
    """Hidden states and attention maps, layer by layer (TinyBERT, Jiao et al. 2020).

    A student of another width is projected to the teacher's by one matrix that is learned and
    thrown away.
    """

    def __init__(self, settings: Distillation, insides: Insides, width: int) -> None:
        super().__init__()
        self.settings, self.insides = settings, insides
        self.wanted = dataclasses.replace(insides.wanted, layers=tuple(range(settings.layers)))
        teacher_width = insides.teacher.config.hidden_size
        self.project: nn.Module = nn.Identity()
        if settings.hidden_weight and width != teacher_width:
            self.project = nn.Linear(width, teacher_width, bias=False)

    def forward(self, student: Inner, batch: Batch) -> torch.Tensor:
        """The weighed sum over layers of mean squared differences, a scalar."""
        teacher = self.insides.of(batch)
        mask = batch.attention_mask
        hidden = [
            losses.hidden_states(self.project(mine), its, mask)
            for mine, its in zip(student.hidden, teacher.hidden, strict=True)
        ]
        attention = [
            losses.attention_maps(mine, its, mask)
            for mine, its in zip(student.attention, teacher.attention, strict=True)
        ]
        weighed = [self.settings.hidden_weight * loss for loss in hidden]
        weighed += [self.settings.attention_weight * loss for loss in attention]
        return torch.stack(weighed).sum()


class Pull(nn.Module):
    """The whole of distillation: soft targets, labels and, if asked for, the inside."""

    def __init__(
        self,
        settings: Distillation,
        labels: CrossEntropy,
        teacher_logits: torch.Tensor,
        inner: InnerPull | None,
    ) -> None:
        super().__init__()
        self.settings, self.labels, self.inner = settings, labels, inner
        self.teacher_logits = teacher_logits

    def forward(self, student: PreTrainedModel, batch: Batch) -> torch.Tensor:
        """The weighed sum, a scalar in float32."""
        wanted = self.inner.wanted if self.inner else _NOTHING
        logits, inside = wanted.of(student, batch)
        targets = self.teacher_logits[torch.from_numpy(batch.index)].to(logits.device)
        soft = losses.soft_targets(logits, targets, self.settings.temperature)
        hard = self.labels.of(logits, batch)
        total = self.settings.logit_weight * soft + self.settings.label_weight * hard
        return total if self.inner is None else total + self.inner(inside, batch)

"""What a teacher has to say about each training text: its logits, hidden states, attention maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedModel

from edgepipe.training.batches import Batch, Batches
from edgepipe.training.predict import by_length, run
from edgepipe.training.resume import Store

Half = npt.NDArray[np.float16]
_MAP_AXES = 3
_LOGITS = "teacher-logits"


@dataclass(frozen=True)
class Inner:
    """The inside of a model for one batch, at the places that teacher and student share."""

    hidden: list[torch.Tensor]
    """[rows, tokens, width] each: after the embeddings, and after each student layer's source."""
    attention: list[torch.Tensor]
    """[rows, heads, tokens, tokens] each, of each student layer's source."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which parts of the inside are asked for, from which layers."""

    layers: tuple[int, ...]
    hidden: bool
    attention: bool

    def of(self, model: PreTrainedModel, batch: Batch) -> tuple[torch.Tensor, Inner]:
        """The model's logits [rows, labels] for the batch, and its inside."""
        answer = model(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            output_hidden_states=self.hidden,
            output_attentions=self.attention,
        )
        hidden = [answer.hidden_states[at] for at in self._places()] if self.hidden else []
        attention = [answer.attentions[at] for at in self.layers] if self.attention else []
        return answer.logits, Inner(hidden, attention)

    def _places(self) -> Sequence[int]:
        """``hidden_states[0]`` is the embeddings' output, so layer i's output stands at i + 1."""
        return [0, *(layer + 1 for layer in self.layers)]


def teacher_logits(teacher: PreTrainedModel, batches: Batches, store: Store) -> torch.Tensor:
    """The teacher's logits for every training text, float32 [texts, labels], on the CPU.

    Computed once and published in ``store``; after a kill they are read from there.
    """
    known = store.kept(_LOGITS)
    if known is None:
        known = {"logits": torch.from_numpy(run(teacher, batches.encoded, batches.pad))}
        store.keep(_LOGITS, known)
    return known["logits"]


class Insides:
    """The teacher's inside for any batch, from memory as far as ``budget`` bytes go.

    All values pass through float16, remembered or not, so that the budget decides the speed and not
    the result (up to float16's rounding of the last bits of float32). What is remembered follows
    from the data alone: the texts from the longest down, in fixed batches.
    """

    def __init__(
        self, teacher: PreTrainedModel, batches: Batches, wanted: Wanted, budget: int
    ) -> None:
        self.teacher, self.batches, self.wanted = teacher, batches, wanted
        self.known: dict[int, list[Half]] = {}
        self._remember(budget)

    def of(self, batch: Batch) -> Inner:
        """The inside for a batch, float32, padded with zeros as the batch is."""
        unknown = np.asarray([row for row in batch.index if int(row) not in self.known], np.int64)
        rows = dict(self._compute(unknown)) if len(unknown) else {}
        parts = [rows[row] if row in rows else self.known[row] for row in map(int, batch.index)]
        longest = batch.input_ids.shape[1]
        tensors = [
            _stacked([part[at] for part in parts], longest).to(self.batches.device)
            for at in range(len(parts[0]))
        ]
        places = len(self.wanted.layers) + 1 if self.wanted.hidden else 0
        return Inner(tensors[:places], tensors[places:])

    def _remember(self, budget: int) -> None:
        for index in by_length(self.batches.encoded, self.batches.batch_size):
            for row, parts in self._compute(index):
                budget -= sum(part.nbytes for part in parts)
                if budget < 0:
                    return
                self.known[row] = parts

    def _compute(self, index: npt.NDArray[np.int64]) -> list[tuple[int, list[Half]]]:
        """Each row and its parts, [tokens, width] and [heads, tokens, tokens], without padding."""
        batch = self.batches.gather(index)
        device = self.batches.device.type
        with torch.inference_mode(), torch.autocast(device, enabled=False):
            _, inner = self.wanted.of(self.teacher, batch)
        hidden = [part.half().cpu().numpy() for part in inner.hidden]
        attention = [part.half().cpu().numpy() for part in inner.attention]
        lengths = batch.attention_mask.sum(dim=1).tolist()
        return [
            (
                int(row),
                [part[at, :length].copy() for part in hidden]
                + [part[at, :, :length, :length].copy() for part in attention],
            )
            for at, (row, length) in enumerate(zip(index, lengths, strict=True))
        ]


def _stacked(parts: Sequence[Half], longest: int) -> torch.Tensor:
    """One float32 tensor of all rows, zeros where a row has no token.

    A hidden state's first axis counts tokens; an attention map's first axis counts heads, and both
    others count tokens.
    """
    is_map = parts[0].ndim == _MAP_AXES
    width = parts[0].shape[0] if is_map else parts[0].shape[1]
    row = (width, longest, longest) if is_map else (longest, width)
    stacked = np.zeros((len(parts), *row), np.float32)
    for place, part in zip(stacked, parts, strict=True):
        place[tuple(slice(size) for size in part.shape)] = part
    return torch.from_numpy(stacked)

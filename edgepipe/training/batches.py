"""Batches of texts of like length, in an order that follows from (seed, epoch) alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from edgepipe.training.encode import Encoded, padded

Indices = npt.NDArray[np.int64]
_POOL = 50
"""Batches that are sorted together: enough for little padding, few enough to keep mixing."""


@dataclass(frozen=True)
class Batch:
    """Rows of the training split, padded to the longest among them."""

    index: Indices
    """int64 [rows]: where each row stands in the split."""
    input_ids: torch.Tensor
    """int64 [rows, longest]."""
    attention_mask: torch.Tensor
    """int64 [rows, longest], 1 for tokens."""
    labels: torch.Tensor
    """int64 [rows]."""


@dataclass(frozen=True, kw_only=True)
class Batches:
    """A training split, ready to be drawn from."""

    encoded: Encoded
    labels: Indices
    pad: int
    batch_size: int
    seed: int
    device: torch.device

    @property
    def per_epoch(self) -> int:
        """Batches in one epoch."""
        return -(-len(self.encoded) // self.batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from the ``start``-th on; every row comes once an epoch."""
        order = epoch_order(self.encoded.lengths, self.batch_size, self.seed, epoch)
        for index in order[start:]:
            yield self.gather(index)

    def gather(self, index: Indices) -> Batch:
        """The rows at ``index`` as one batch on the device."""
        input_ids, mask = padded([self.encoded[row] for row in index], self.pad)
        return Batch(
            index,
            torch.from_numpy(input_ids).to(self.device),
            torch.from_numpy(mask).to(self.device),
            torch.from_numpy(self.labels[index]).to(self.device),
        )


def epoch_order(lengths: Indices, batch_size: int, seed: int, epoch: int) -> list[Indices]:
    """The row indices of each batch of an epoch, int64 [rows] each.

    Rows are shuffled, sorted by length within pools of 50 batches, cut, and the batches shuffled.
    """
    random = np.random.default_rng([seed, epoch])
    shuffled = random.permutation(len(lengths))
    batches: list[Indices] = []
    for start in range(0, len(shuffled), _POOL * batch_size):
        pool = shuffled[start : start + _POOL * batch_size]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches.extend(pool[at : at + batch_size] for at in range(0, len(pool), batch_size))
    return [batches[place] for place in random.permutation(len(batches))]

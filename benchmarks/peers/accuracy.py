"""An arm's labels beside the true ones and beside torch's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.peers.records import Accuracy
from edgepipe.measure.records import packed
from edgepipe.measure.statistics import TWO_SIDED, drop_bounds, wilson


def accuracy(
    arm: str, labels: Sequence[str], truth: Sequence[str], reference: Sequence[str]
) -> Accuracy:
    """How often ``labels`` are right, and how they differ from the reference's, text by text."""
    rows = list(zip(truth, reference, labels, strict=True))
    right = sum(label == true for true, _, label in rows)
    lost = sum(rival == true != label for true, rival, label in rows)
    won = sum(label == true != rival for true, rival, label in rows)
    return Accuracy(
        arm=arm,
        examples=len(rows),
        accuracy=right / len(rows),
        interval=wilson(right, len(rows)),
        drop=(lost - won) / len(rows),
        drop_interval=drop_bounds(lost, won, len(rows), confidence=TWO_SIDED),
        flips=sum(rival != label for _, rival, label in rows),
        right=packed(np.asarray([label == true for true, _, label in rows], np.int64)),
    )

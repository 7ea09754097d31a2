"""Figures that training watches, in numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgepipe.errors import StageError
from edgepipe.training.settings import Metric

Labels = npt.NDArray[np.int64]


def score(metric: Metric, truth: Labels, predicted: Labels, classes: int) -> float:
    """``metric`` of predicted labels, between 0 and 1; both arrays int64 [texts]."""
    if metric == "accuracy":
        return float((truth == predicted).mean())
    return macro_f1(truth, predicted, classes)


def macro_f1(truth: Labels, predicted: Labels, classes: int) -> float:
    """The plain mean of every class's F1; a class that neither array holds counts as 0.

    As scikit-learn's ``f1_score(average="macro", labels=range(classes), zero_division=0)``.
    """
    confusion = np.bincount(truth * classes + predicted, minlength=classes**2)
    confusion = confusion.reshape(classes, classes)
    hits = confusion.diagonal()
    claims = confusion.sum(axis=0) + confusion.sum(axis=1)
    return float(np.mean(2 * hits / np.maximum(claims, 1)))


def balanced_weights(counts: Sequence[int]) -> npt.NDArray[np.float32]:
    """A weight for each class, rows / (classes x rows of the class), float32 [classes].

    As scikit-learn's ``compute_class_weight("balanced")``. Raises StageError for an empty class.
    """
    rows = np.asarray(counts, np.float64)
    if not rows.all():
        empty = int(np.argmin(rows))
        raise StageError(f"class_weights: label {empty} has no row in the training split")
    weights: npt.NDArray[np.float32] = (rows.sum() / (len(rows) * rows)).astype(np.float32)
    return weights

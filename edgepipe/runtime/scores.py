"""Logits to labels and scores, as a transformers text-classification pipeline gives them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from edgepipe.runtime.manifest import ProblemType

Floats = NDArray[np.float32]
Activation = Literal["softmax", "sigmoid", "none"]
_FEW = 64
"""Labels up to which plain Python finds the best one of a text sooner than numpy does."""


class Prediction(TypedDict):
    """One label and its score: a probability, or for a regression the value itself."""

    label: str
    score: float


def activation(problem_type: ProblemType, labels: int) -> Activation:
    """What turns logits into scores.

    As transformers 5.23 decides it (``pipelines/text_classification.py``, ``postprocess``).
    """
    if problem_type == "regression":
        return "none"
    if problem_type == "multi_label_classification" or labels == 1:
        return "sigmoid"
    return "softmax"


def scores(logits: Floats, function: Activation) -> Floats:
    """Float32 [n, labels]."""
    if function == "none":
        return logits
    if function == "sigmoid":
        with np.errstate(over="ignore"):  # exp(-logit) may be infinite: the probability is 0 then
            single: Floats = np.reciprocal(1 + np.exp(-logits), dtype=np.float32)
        return single
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: Floats = exponents / exponents.sum(axis=-1, keepdims=True)
    return shares


def best(logits: Floats, labels: Sequence[str], function: Activation) -> list[Prediction]:
    """The label with the highest score of every row."""
    tops: Iterable[tuple[int, float]]
    if len(labels) > _FEW:
        found = scores(logits, function)
        tops = zip(logits.argmax(axis=-1).tolist(), found.max(axis=-1).tolist(), strict=True)
    else:
        top_of = _TOP[function]
        tops = [top_of(row) for row in logits.tolist()]
    return [{"label": labels[index], "score": score} for index, score in tops]


def _top_softmax(row: list[float]) -> tuple[int, float]:
    top = max(row)
    return row.index(top), 1 / sum([math.exp(value - top) for value in row])


def _top_sigmoid(row: list[float]) -> tuple[int, float]:
    top = max(row)
    share = math.exp(-abs(top))  # never too large for a float
    return row.index(top), (1 if top >= 0 else share) / (1 + share)


def _top_none(row: list[float]) -> tuple[int, float]:
    top = max(row)
    return row.index(top), top


_TOP: dict[Activation, Callable[[list[float]], tuple[int, float]]] = {
    "softmax": _top_softmax,
    "sigmoid": _top_sigmoid,
    "none": _top_none,
}


def ranked(
    logits: Floats, labels: Sequence[str], function: Activation, top_k: int | None
) -> list[list[Prediction]]:
    """The ``top_k`` labels with the highest scores of every row (all for None), best first."""
    return [
        [
            {"label": labels[index], "score": row[index]}
            for index in sorted(range(len(row)), key=row.__getitem__, reverse=True)[:top_k]
        ]
        for row in scores(logits, function).tolist()
    ]

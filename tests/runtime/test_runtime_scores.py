from __future__ import annotations

import math

import numpy as np
import pytest

from edgepipe.runtime.scores import activation, best, ranked, scores

LABELS = ("a", "b", "c")
LOGITS = np.log(np.array([[2, 5, 1], [8, 1, 1]], np.float32)) + np.float32(3)
"""Softmax: 2/8, 5/8, 1/8 and 8/10, 1/10, 1/10."""


def test_softmax_by_hand() -> None:
    shares = scores(LOGITS, "softmax")
    assert shares.dtype == np.float32
    assert shares == pytest.approx(np.array([[0.25, 0.625, 0.125], [0.8, 0.1, 0.1]]), rel=1e-6)


def test_softmax_of_large_logits_is_finite() -> None:
    assert scores(np.array([[1e4, -1e4, 0]], np.float32), "softmax").tolist() == [[1, 0, 0]]


def test_a_single_label_gets_the_logistic_function() -> None:
    logits = np.array([[math.log(3)], [0], [-1e4], [1e4]], np.float32)
    shares = scores(logits, "sigmoid")
    assert shares.dtype == np.float32
    assert shares[:, 0] == pytest.approx([0.75, 0.5, 0, 1], abs=1e-7)


@pytest.mark.parametrize(
    ("problem_type", "labels", "expected"),
    [
        ("single_label_classification", 2, "softmax"),
        ("single_label_classification", 1, "sigmoid"),
        ("multi_label_classification", 3, "sigmoid"),
        ("regression", 1, "none"),
        ("regression", 3, "none"),
    ],
)
def test_what_makes_scores(problem_type, labels: int, expected: str) -> None:
    assert activation(problem_type, labels) == expected


def test_best() -> None:
    found = best(LOGITS, LABELS, "softmax")
    assert [one["label"] for one in found] == ["b", "a"]
    assert [one["score"] for one in found] == pytest.approx([0.625, 0.8])
    assert all(type(one["score"]) is float for one in found)


@pytest.mark.parametrize("function", ["softmax", "sigmoid", "none"])
@pytest.mark.parametrize("count", [1, 2, 7, 64, 65, 300])
def test_best_is_the_largest_of_the_scores(function, count: int) -> None:
    """However many labels: the best of a few is found without numpy."""
    logits = np.random.default_rng(count).normal(0, 4, (50, count)).astype(np.float32)
    exponents = np.exp(logits.astype(np.float64))
    expected = {
        "softmax": exponents / exponents.sum(axis=1, keepdims=True),
        "sigmoid": exponents / (1 + exponents),
        "none": logits,
    }[function]
    labels = tuple(map(str, range(count)))
    found = best(logits, labels, function)
    assert [one["label"] for one in found] == [labels[n] for n in logits.argmax(axis=1)]
    tolerance = 1e-7 if count <= 64 else 1e-6  # above, in float32
    assert [one["score"] for one in found] == pytest.approx(expected.max(axis=1), rel=tolerance)
    assert all(type(one["score"]) is float for one in found)


@pytest.mark.parametrize("function", ["softmax", "sigmoid"])
@pytest.mark.parametrize("count", [2, 65])
def test_best_of_what_is_very_large(function, count: int) -> None:
    logits = np.full((2, count), -1e4, np.float32)
    logits[0, 1] = 1e4
    first, second = best(logits, tuple(map(str, range(count))), function)
    assert first == {"label": "1", "score": 1}
    assert second["score"] == pytest.approx({"softmax": 1 / count, "sigmoid": 0}[function])


@pytest.mark.parametrize("function", ["softmax", "sigmoid", "none"])
@pytest.mark.parametrize("count", [1, 65])
def test_what_is_not_a_number_stays_so(function, count: int) -> None:
    (found,) = best(np.full((1, count), np.nan, np.float32), ["x"] * count, function)
    assert math.isnan(found["score"])


def test_of_equals_the_first_label_is_best() -> None:
    assert best(np.zeros((1, 3), np.float32), LABELS, "softmax")[0]["label"] == "a"


@pytest.mark.parametrize(
    ("top_k", "labels"), [(None, ["b", "a", "c"]), (2, ["b", "a"]), (9, ["b", "a", "c"])]
)
def test_ranked(top_k: int | None, labels: list[str]) -> None:
    first, second = ranked(LOGITS, LABELS, "softmax", top_k)
    assert [one["label"] for one in first] == labels
    assert [one["score"] for one in first] == pytest.approx([0.625, 0.25, 0.125][: len(labels)])
    assert [one["label"] for one in second] == ["a", "b", "c"][: len(labels)]

import numpy as np
import pytest

from edgepipe.measure.attribution import rank_agreement
from edgepipe.training.attribution import occlusion

WORDS = ("a", "very", "good", "bad", "film")
WEIGHTS = {"a": 0.0, "very": 0.5, "good": 3.0, "bad": -2.0, "film": 0.25}


def bag(texts):
    """A linear model over the bag of words: what a word adds to a logit is its weight."""
    total = np.array([sum(WEIGHTS[word] for word in text.split()) for text in texts])
    return np.stack([-total, total], axis=1).astype(np.float32)


def test_a_bag_of_words_is_explained_by_its_weights():
    found = occlusion(bag, WORDS, 1)
    assert found.dtype == np.float64
    assert found.tolist() == pytest.approx([WEIGHTS[word] for word in WORDS])
    assert occlusion(bag, WORDS, 0).tolist() == pytest.approx([-WEIGHTS[word] for word in WORDS])


def test_two_words_that_only_count_together():
    """By hand: each of them takes the whole with it; the third changes nothing."""

    def both(texts):
        return np.array([[4.0 if {"not", "bad"} <= set(t.split()) else 1.0] for t in texts])

    assert occlusion(both, ("not", "bad", "film"), 0).tolist() == [3, 3, 0]


def test_the_model_is_asked_twice_and_words_keep_their_order():
    asked = []

    def model(texts):
        asked.append(list(texts))
        return np.zeros((len(texts), 2), np.float32)

    occlusion(model, ("one", "two three", "four"), 0)
    assert asked == [
        ["one two three four"],
        ["two three four", "one four", "one two three"],
    ]


def test_words_that_stand_twice_tie():
    found = occlusion(bag, ("good", "film", "good"), 1)
    assert found[0] == found[2]
    assert rank_agreement(found, found) == pytest.approx(1)


def test_nothing_is_random():
    assert np.array_equal(occlusion(bag, WORDS, 1), occlusion(bag, WORDS, 1))

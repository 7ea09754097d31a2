import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score
from sklearn.utils.class_weight import compute_class_weight

from edgepipe.errors import StageError
from edgepipe.training.metrics import balanced_weights, score


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_scores_are_those_of_scikit_learn(classes):
    random = np.random.default_rng(classes)
    truth, predicted = random.integers(0, classes, (2, 200))
    assert score("accuracy", truth, predicted, classes) == accuracy_score(truth, predicted)
    expected = f1_score(truth, predicted, average="macro")
    assert score("macro_f1", truth, predicted, classes) == pytest.approx(expected)


def test_a_class_that_never_comes_counts_as_zero():
    truth, predicted = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    expected = f1_score(truth, predicted, labels=[0, 1, 2], average="macro", zero_division=0)
    assert score("macro_f1", truth, predicted, 3) == pytest.approx(expected)


def test_class_weights_are_those_of_scikit_learn():
    labels = np.repeat([0, 1, 2], [70, 20, 10])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(balanced_weights((70, 20, 10)), expected, rtol=1e-6)


def test_an_empty_class_has_no_weight():
    with pytest.raises(StageError, match="label 1 has no row"):
        balanced_weights((3, 0))

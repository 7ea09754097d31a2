import json

import numpy as np
import pytest
from scipy import stats

from edgepipe.artifacts import Dataset, SplitRecord
from edgepipe.measure import attribution
from edgepipe.measure.attribution import Explained, explanation, rank_agreement, texts_to_explain


def floats(*values):
    return np.array(values, np.float64)


@pytest.mark.parametrize("seed", range(20))
def test_rank_agreement_equals_scipys_spearman_ties_included(seed):
    random = np.random.default_rng(seed)
    old, new = random.integers(0, 6, (2, 12)).astype(np.float64)
    assert rank_agreement(old, new) == pytest.approx(stats.spearmanr(old, new).statistic)
    assert rank_agreement(new, old) == pytest.approx(rank_agreement(old, new))


def test_rank_agreement_at_its_ends():
    assert rank_agreement(floats(1, 2, 30), floats(-5, 0, 1)) == 1
    assert rank_agreement(floats(1, 2, 30), floats(3, 2, 1)) == -1
    assert rank_agreement(floats(1, 2, 3), floats(7, 7, 7)) == 0


def texts(count, words=3):
    return [Explained(row=n, words=tuple(f"w{n}{w}" for w in range(words))) for n in range(count)]


def test_an_explanation_is_the_mean_over_texts():
    old = [floats(1, 2, 3), floats(1, 2, 3), floats(3, 2, 1), floats(1, 3, 2)]
    new = [floats(1, 2, 3), floats(3, 2, 1), floats(30, 20, 10), floats(2, 9, 1)]
    found = explanation(texts(4), old, new, resamples=999, seed=0)
    expected = [stats.spearmanr(a, b).statistic for a, b in zip(old, new, strict=True)]
    assert found.texts == 4
    assert found.rank_agreement.value == pytest.approx(np.mean(expected))
    bounds = found.rank_agreement.bounds(0.95)
    assert bounds.low < found.rank_agreement.value < bounds.high
    assert found.same_top_word == 0.75
    assert [e.text for e in found.examples] == ["w10 w11 w12", "w30 w31 w32", "w00 w01 w02",
                                                "w20 w21 w22"]  # fmt: skip
    worst = found.examples[0]
    assert (worst.reference, worst.candidate) == ((1, 2, 3), (3, 2, 1))
    assert worst.rank_agreement == -1


@pytest.mark.parametrize("count", [2, 32, 500])
def test_texts_that_all_agree_do_not_prove_that_others_do(count):
    """None of them disagrees: by Clopper and Pearson so large a share may, each by 2."""
    weights = [floats(1, 2, 3)] * count
    found = explanation(texts(count), weights, weights, resamples=99, seed=0).rank_agreement
    assert found.value == 1
    expected = max(-1.0, 1 - 2 * stats.beta.ppf(0.95, 1, count))
    assert found.bounds(0.95).low == pytest.approx(expected, rel=1e-6)
    assert found.bounds(0.95).high == 1
    assert list(found.quantiles) == sorted(found.quantiles)


def test_the_least_agreeing_texts_are_shown():
    old = [floats(1, 2, 3)] * 9
    new = [floats(1, 2, 3)] * 4 + [floats(3, 2, 1)] * 5
    found = explanation(texts(9), old, new, resamples=99, seed=0)
    assert [e.rank_agreement for e in found.examples] == [-1] * 5


def test_texts_whose_words_weigh_the_same_are_counted_out():
    old = [floats(1, 2, 3), floats(5, 5, 5), floats(1, 2, 3)]
    new = [floats(1, 2, 3), floats(1, 2, 3), floats(1, 2, 3)]
    found = explanation(texts(3), old, new, resamples=99, seed=0)
    assert (found.texts, found.rank_agreement.value) == (2, 1)


def test_a_candidate_that_looks_at_no_word_is_not_counted_out():
    old, new = [floats(1, 2, 3)] * 3, [floats(0, 0, 0)] * 3
    assert explanation(texts(3), old, new, resamples=99, seed=0).rank_agreement.value == 0


def test_rounding_puts_no_words_in_order():
    """Words beyond what the model reads weigh nothing, but for the last bits of float32."""
    old, new = [floats(0.5, 3e-8, -4e-8)] * 2, [floats(0.7, -2e-8, 5e-8)] * 2
    found = explanation(texts(2), old, new, resamples=99, seed=0)
    assert found.rank_agreement.value == pytest.approx(1)
    assert explanation(texts(2), [floats(1e-9, 2e-9, 0)] * 2, new, resamples=99, seed=0)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_texts_explain_nothing(count):
    weights = [floats(1, 2, 3)] * count
    assert explanation(texts(count), weights, weights, resamples=99, seed=0) is None


def dataset(folder, lines):
    rows = (json.dumps({"text": text, "label": 0}) + "\n" for text in lines)
    (folder / "test.jsonl").write_text("".join(rows))
    record = SplitRecord(rows=len(lines), label_counts=())
    return Dataset(path=folder, labels=("no", "yes"), splits={"test": record})


def test_words_are_what_white_space_parts(tmp_path):
    data = dataset(tmp_path, [" a  b\tc ", "one", "don't stop"])
    found = texts_to_explain(data, "test", 9, seed=0)
    assert {text.row: text.words for text in found} == {0: ("a", "b", "c"), 2: ("don't", "stop")}


def test_long_texts_are_explained_in_runs_of_words(tmp_path):
    words = [f"w{n}" for n in range(100)]
    (found,) = texts_to_explain(dataset(tmp_path, [" ".join(words)]), "test", 1, seed=0)
    assert len(found.words) == attribution.WORDS == 32
    assert " ".join(found.words).split() == words


def test_the_seed_draws_the_texts(tmp_path):
    data = dataset(tmp_path, [f"text {n}" for n in range(40)])
    once, again, other = (
        [text.row for text in texts_to_explain(data, "test", 10, seed=seed)] for seed in (1, 1, 2)
    )
    assert once == again != other
    assert len(once) == 10
    assert texts_to_explain(data, "test", 0, seed=1) == ()

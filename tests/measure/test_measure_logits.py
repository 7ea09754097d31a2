import numpy as np
import pytest
import scipy
import torch

from edgepipe.errors import StageError
from edgepipe.measure import logits
from edgepipe.measure.logits import answer, differences, log_probabilities, read, write


def test_answers_are_the_logits():
    found = np.array([[0.1, 0.9, 0.0], [2.0, -1.0, 1.9]], np.float32)
    assert answer(lambda _: found, ["a", "b"], labels=3, name="m") is found


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_no_numbers_are_refused(bad):
    found = np.array([[0.1, 0.9], [bad, 0.0]], np.float32)
    with pytest.raises(StageError, match=r"^int8 answers 1 of 2 texts .*'second'"):
        answer(lambda _: found, ["first", "second"], labels=2, name="int8")


def test_logits_of_another_shape_are_refused():
    with pytest.raises(StageError, match=r"int8 answered 1 texts .*\(1, 2\), not \(1, 3\)"):
        answer(lambda _: np.zeros((1, 2), np.float32), ["a"], labels=3, name="int8")


def test_what_is_written_in_parts_is_one_file_that_numpy_reads(tmp_path, monkeypatch):
    monkeypatch.setattr(logits, "CHUNK", 4)
    whole = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    parts = (part for part in (whole[:7], whole[7:]))
    write(tmp_path / "x.npy", parts, rows=10, labels=3)
    assert np.array_equal(np.load(tmp_path / "x.npy"), whole)
    found = list(read(tmp_path / "x.npy"))
    assert [len(part) for part in found] == [4, 4, 2]
    assert np.array_equal(np.concatenate(found), whole.astype(np.float64))


@pytest.mark.parametrize("scale", [1, 1e3, 1e30])
def test_log_probabilities_equal_torchs(scale):
    given = np.random.default_rng(1).normal(size=(20, 5)) * scale
    found = log_probabilities(given)
    assert np.isfinite(found).all()
    assert found == pytest.approx(torch.log_softmax(torch.from_numpy(given), -1).numpy())
    assert found == pytest.approx(scipy.special.log_softmax(given, axis=1))


def pair(tmp_path, old, new):
    for name, some in (("old", old), ("new", new)):
        np.save(tmp_path / f"{name}.npy", some.astype(np.float32))
    return differences(tmp_path / "old.npy", tmp_path / "new.npy")


def test_divergence_by_hand(tmp_path):
    """p = (1/2, 1/2) and q = (1/4, 3/4): ln(2)/2 + ln(2/3)/2 = ln(4/3)/2."""
    divergence, largest = pair(tmp_path, np.array([[0, 0]]), np.array([[0, np.log(3)]]))
    assert divergence == pytest.approx([np.log(4 / 3) / 2])
    assert largest == pytest.approx(np.log(3))


def test_divergence_equals_torchs_in_whatever_chunks(tmp_path, monkeypatch):
    random = np.random.default_rng(2)
    old, new = (random.normal(size=(30, 4)).astype(np.float32) * 4 for _ in range(2))
    asked, given = (torch.log_softmax(torch.from_numpy(x).double(), -1) for x in (old, new))
    expected = torch.nn.functional.kl_div(given, asked, reduction="none", log_target=True).sum(-1)
    whole = pair(tmp_path, old, new)
    monkeypatch.setattr(logits, "CHUNK", 7)
    parts = pair(tmp_path, old, new)
    for divergence, largest in (whole, parts):
        assert divergence == pytest.approx(expected.numpy(), rel=1e-9)
        assert largest == pytest.approx(np.abs(old - new).max())


def test_logits_far_apart_diverge_by_a_finite_amount(tmp_path):
    divergence, _ = pair(tmp_path, np.array([[3e38, -3e38]]), np.array([[-3e38, 3e38]]))
    assert divergence == pytest.approx([6e38], rel=0.01)
    same, _ = pair(tmp_path, np.array([[1e9, 1.0]]), np.array([[1e9, 1.0]]))
    assert same.tolist() == [0]

import numpy as np
import pytest
import torch
from scipy.special import softmax

from edgepipe.training import losses


def test_soft_targets_are_hintons(monkeypatch):
    random = np.random.default_rng(0)
    student, teacher = random.normal(size=(2, 5, 3))
    p, q = softmax(teacher / 3, axis=1), softmax(student / 3, axis=1)
    expected = 9 * np.sum(p * (np.log(p) - np.log(q))) / 5
    got = losses.soft_targets(torch.tensor(student), torch.tensor(teacher), 3.0)
    assert got.item() == pytest.approx(expected, rel=1e-5)


def test_soft_targets_are_zero_for_equal_answers():
    logits = torch.randn(4, 3)
    assert losses.soft_targets(logits, logits + 7.0, 2.0).item() == pytest.approx(0, abs=1e-6)


def test_the_gradient_hardly_depends_on_a_high_temperature():
    student, teacher = torch.randn(8, 4, requires_grad=True), torch.randn(8, 4)
    sizes = [
        torch.autograd.grad(losses.soft_targets(student, teacher, t), student)[0].norm().item()
        for t in (50.0, 500.0)
    ]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.1)


def test_hidden_states_leave_padding_out():
    student, teacher = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    mask = torch.tensor([[1, 1, 1], [1, 0, 0]])
    kept = [(0, 0), (0, 1), (0, 2), (1, 0)]
    expected = np.mean([((student[at] - teacher[at]) ** 2).numpy() for at in kept])
    assert losses.hidden_states(student, teacher, mask).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("teacher_heads", [2, 4])
def test_attention_maps_compare_pairs_of_tokens(teacher_heads):
    student = torch.rand(2, 2, 3, 3)
    teacher = torch.rand(2, teacher_heads, 3, 3)
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    mine, its = student.numpy(), teacher.numpy()
    if teacher_heads != 2:
        mine, its = mine.mean(1, keepdims=True), its.mean(1, keepdims=True)
    differences = np.concatenate(
        [
            ((mine[row, :, :n, :n] - its[row, :, :n, :n]) ** 2).ravel()
            for row, n in enumerate((3, 2))
        ]
    )
    got = losses.attention_maps(student, teacher, mask).item()
    assert got == pytest.approx(differences.mean(), rel=1e-5)

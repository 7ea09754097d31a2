import pytest
import torch
from torch import nn
from transformers import get_linear_schedule_with_warmup

from edgepipe.training import optim


@pytest.mark.parametrize(("total", "ratio", "warmup"), [(50, 0.06, 3), (10, 0.0, 0), (7, 0.5, 4)])
def test_the_rate_is_that_of_transformers(total, ratio, warmup):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = get_linear_schedule_with_warmup(optimizer, warmup, total)
    for step in range(total):
        assert optim.rate(step, total, ratio) == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()


def _named():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 1))
    return model, dict(model.named_parameters())


def _move(model, optimizer, steps):
    torch.manual_seed(1)
    for _ in range(steps):
        model(torch.randn(8, 3)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()


def test_only_matrices_decay_and_the_moves_are_adamw():
    model, parameters = _named()
    ours = optim.adamw(parameters, weight_decay=0.5)
    optim.set_rate(ours, 0.01)
    _move(model, ours, 5)
    reference, _ = _named()
    decayed = [reference[0].weight, reference[2].weight]
    plain = [reference[0].bias, reference[1].weight, reference[1].bias, reference[2].bias]
    groups = [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]
    _move(reference, torch.optim.AdamW(groups, lr=0.01, weight_decay=0.5, foreach=False), 5)
    for mine, its in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(mine, its)


def test_moments_carry_an_optimizer_over():
    model, parameters = _named()
    first = optim.adamw(parameters, weight_decay=0.1)
    optim.set_rate(first, 0.01)
    _move(model, first, 3)
    weights = {name: p.detach().clone() for name, p in parameters.items()}
    saved = {name: value.clone() for name, value in optim.moments(first, parameters).items()}
    _move(model, first, 3)
    copy, copied = _named()
    with torch.no_grad():
        for name, parameter in copied.items():
            parameter.copy_(weights[name])
    second = optim.adamw(copied, weight_decay=0.1)
    optim.set_rate(second, 0.01)
    optim.restore_moments(second, copied, saved)
    _move(copy, second, 3)
    for mine, its in zip(copy.parameters(), model.parameters(), strict=True):
        assert torch.equal(mine, its)

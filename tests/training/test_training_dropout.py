import pytest
import torch
from torch import nn
from torch.nn import functional

from edgepipe.training.dropout import FastDropout


def _dropped(values, p=0.1, seed=0):
    torch.manual_seed(seed)
    with FastDropout():
        return functional.dropout(values, p, training=True)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_share_and_the_mean_are_kept(p):
    out = _dropped(torch.ones(400_003), p)
    assert (out == 0).float().mean().item() == pytest.approx(p, abs=0.005)
    assert out.mean().item() == pytest.approx(1.0, abs=0.02)
    assert len(out.unique()) == 2


def test_neighbours_are_dropped_independently():
    zero = (_dropped(torch.ones(400_000), 0.25) == 0).float()
    for distance in (1, 4, 8):
        both = (zero[distance:] * zero[:-distance]).mean().item()
        assert both == pytest.approx(0.0625, abs=0.003)


def test_it_repeats_with_the_seed():
    values = torch.randn(3, 5, 7)
    assert torch.equal(_dropped(values, seed=1), _dropped(values, seed=1))
    assert not torch.equal(_dropped(values, seed=1), _dropped(values, seed=2))


def test_the_gradient_goes_where_the_value_went():
    values = torch.randn(1000, requires_grad=True)
    out = _dropped(values, 0.3)
    out.sum().backward()
    assert torch.equal(values.grad == 0, out == 0)
    torch.testing.assert_close(values.grad * values.detach(), out.detach())


def test_modules_use_it_only_while_training():
    layer, values = nn.Dropout(0.5), torch.ones(64)
    torch.manual_seed(3)
    with FastDropout():
        trained = layer(values)
        assert torch.equal(layer.eval()(values), values)
    torch.manual_seed(3)
    assert not torch.equal(trained, layer.train()(values))  # torch's own mask is another one


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_all_or_nothing_is_left_to_torch(p):
    values = torch.randn(10)
    assert torch.equal(_dropped(values, p), values * (1 - p))

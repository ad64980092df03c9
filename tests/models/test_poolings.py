"""Poolings against their formulas."""

import torch

from models.poolings import pool_views
from models.poolings.average import Average
from models.poolings.gem import Gem
from models.poolings.max import Max

torch.manual_seed(0)
X = torch.randn(2, 3, 4, 5)


def test_average_and_max() -> None:
    torch.testing.assert_close(Average(3)(X), X.flatten(2).sum(2) / 20)
    torch.testing.assert_close(Max(3)(X), X.flatten(2).max(2).values)


def test_gem_is_a_generalised_mean() -> None:
    module = Gem(3, p=2.5)
    expected = torch.empty(2, 3)
    for b in range(2):
        for c in range(3):
            values = [max(float(v), 1e-6) ** 2.5 for v in X[b, c].flatten()]
            expected[b, c] = (sum(values) / 20) ** (1 / 2.5)
    torch.testing.assert_close(module(X), expected)
    positive = X.abs() + 0.1
    torch.testing.assert_close(Gem(3, p=1.0)(positive), positive.mean((2, 3)))
    torch.testing.assert_close(Gem(3, p=200.0)(positive), positive.amax((2, 3)), rtol=0.05, atol=0)


def test_gem_learns_its_exponent_and_stays_finite_on_dead_maps() -> None:
    module = Gem(3)
    module(torch.zeros(2, 3, 4, 4).requires_grad_()).sum().backward()
    assert module.p.grad is not None
    assert module.p.grad.isfinite()


def test_views_are_pooled_one_by_one() -> None:
    maps = torch.randn(2, 2, 3, 4, 4)
    pooled = pool_views(maps, Gem(3))
    torch.testing.assert_close(pooled[:, 1], Gem(3)(maps[:, 1]))
    assert pooled.shape == (2, 2, 3)

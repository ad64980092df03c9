"""Every generator of the registry does what its contract says."""

import pytest
import torch

from models.contracts import Generator
from study.spec import components
from tests.models.parts import build

torch.set_num_threads(1)


def generator(name: str) -> Generator:
    torch.manual_seed(0)
    built = build("generator", {"name": name})
    assert isinstance(built, Generator)
    return built


@pytest.mark.parametrize("name", components.names("generator"))
def test_samples_have_the_asked_size_and_range_and_repeat(name: str) -> None:
    net = generator(name)
    images = net.sample(3, 40, seed=1)
    assert images.shape == (3, 3, 40, 40)
    assert -1 <= images.min() <= images.max() <= 1
    assert torch.equal(images, net.sample(3, 40, seed=1))
    assert not torch.equal(images, net.sample(3, 40, seed=2))


@pytest.mark.parametrize("name", components.names("generator"))
def test_an_epoch_gives_finite_losses_and_the_seed_repeats_them(name: str) -> None:
    side = generator(name).image_px
    images = torch.rand(2, 3, side, side) * 2 - 1
    first, second = (list(generator(name).train_on(images, epochs=1, seed=3)) for _ in range(2))
    assert len(first) == 1
    assert torch.tensor(first).isfinite().all()
    assert first == second

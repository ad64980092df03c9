"""The generator DCGAN."""

import pytest
import torch
from torch import Tensor, nn

from models.generators.dcgan import Dcgan

torch.set_num_threads(1)


def bright(num: int) -> Tensor:
    torch.manual_seed(0)
    return (0.8 + 0.05 * torch.randn(num, 3, 32, 32)).clamp(-1, 1)


def test_shapes_ranges_and_first_weights() -> None:
    torch.manual_seed(0)
    net = Dcgan(latent=10, width=8)
    images = net(torch.randn(2, 10))
    assert images.shape == (2, 3, 64, 64)
    assert -1 <= images.min() <= images.max() <= 1
    assert net.discriminator(images).shape == (2,)
    first = net.generator.get_parameter("0.weight")
    assert first.std().item() == pytest.approx(0.02, rel=0.1)
    norms = torch.cat([m.weight.detach() for m in net.modules() if isinstance(m, nn.BatchNorm2d)])
    assert norms.mean().item() == pytest.approx(1, abs=0.01)


def test_parameters_at_the_papers_width() -> None:
    count = {name: sum(p.numel() for p in part.parameters()) for name, part in Dcgan().named_children()}
    assert count == {"generator": 3_576_704, "discriminator": 2_765_568}


def test_samples_are_the_same_for_the_same_seed_and_leave_the_mode_as_it_was() -> None:
    net = Dcgan(latent=10, width=4).train()
    one, two = net.sample(3, 48, seed=1), net.sample(3, 48, seed=1)
    assert one.shape == (3, 3, 48, 48)
    assert torch.equal(one, two)
    assert not torch.equal(one, net.sample(3, 48, seed=2))
    assert net.training


def test_training_moves_samples_toward_the_images_and_repeats() -> None:
    def run() -> tuple[float, list[tuple[float, float]]]:
        torch.manual_seed(0)
        net = Dcgan(latent=8, width=4, batch_size=3)
        losses = list(net.train_on(bright(9), epochs=20, lr=1e-2))
        return net.sample(8, 32, seed=0).mean().item(), losses

    mean, losses = run()
    torch.manual_seed(0)
    before = Dcgan(latent=8, width=4).sample(8, 32, seed=0).mean().item()
    assert abs(mean - 0.8) < abs(before - 0.8) - 0.1
    assert len(losses) == 20
    assert run() == (mean, losses)


def test_the_images_are_left_as_they_are() -> None:
    images = bright(4)
    copy = images.clone()
    next(Dcgan(latent=8, width=4).train_on(images, epochs=1))
    assert torch.equal(images, copy)


def test_too_few_images_or_no_width_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 images of the class, got 1"):
        next(Dcgan(latent=8, width=4).train_on(bright(1), epochs=1))
    with pytest.raises(ValueError, match="latent and width"):
        Dcgan(latent=0)
    with pytest.raises(ValueError, match=r"`dcgan.batch_size`: must be at least 2"):
        Dcgan(batch_size=1)


def test_an_epoch_is_a_step_for_each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    net = Dcgan(latent=8, width=4, batch_size=3)

    def step(real: Tensor, *_: object) -> tuple[float, float]:
        sizes.append(len(real))
        return 0.0, 0.0

    monkeypatch.setattr(net, "_step", step)
    assert len(list(net.train_on(bright(7), epochs=2))) == 2
    assert sizes == [3, 3] * 2  # the seventh image alone would be no batch

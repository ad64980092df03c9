import math
from dataclasses import replace

import pytest
import torch

from study.data.augmentation import GREY, Augmentation

IMAGES = torch.rand(6, 2, 3, 9, 9, generator=torch.Generator().manual_seed(1))
ALL = Augmentation(flip=True, rotate_deg=15.0, scale=0.1, brightness=0.2, contrast=0.2, saturation=0.2)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_all_zero_does_no_work():
    images, swapped = Augmentation()(IMAGES, seeded())
    assert images is IMAGES
    assert not swapped.any()


def test_a_flip_mirrors_both_eyes_and_exchanges_them():
    images, swapped = Augmentation(flip=True)(IMAGES, seeded())
    assert 0 < swapped.sum() < len(IMAGES)
    for image, before, flipped in zip(images, IMAGES, swapped, strict=True):
        expected = torch.stack([before[1].flip(-1), before[0].flip(-1)]) if flipped else before
        assert torch.equal(image, expected)


def test_a_single_image_is_only_mirrored():
    images, swapped = Augmentation(flip=True)(IMAGES[:, :1], seeded())
    assert torch.equal(images[swapped], IMAGES[:, :1][swapped].flip(-1))


def test_same_seed_same_images_other_seed_others():
    first, again, other = (ALL(IMAGES, seeded(s))[0] for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.min() >= 0
    assert first.max() <= 1


def test_light_is_shared_by_the_views_of_a_sample():
    same = IMAGES[:, :1].expand(-1, 2, -1, -1, -1)
    images, _ = Augmentation(brightness=0.3, contrast=0.3, saturation=0.3)(same, seeded())
    assert torch.equal(images[:, 0], images[:, 1])
    factors = Augmentation(brightness=0.3)(torch.full((6, 2, 3, 2, 2), 0.5), seeded())[0][:, 0, 0, 0, 0] / 0.5
    assert len(factors.unique()) == 6
    assert (factors - 1).abs().max() <= 0.3


def test_light_follows_its_formula():
    generator = seeded()
    b, s, c = (1 + (torch.rand(6, generator=generator) * 2 - 1) * 0.1 for _ in range(3))
    images = 0.4 + 0.2 * IMAGES
    changed = Augmentation(brightness=0.1, contrast=0.1, saturation=0.1)(images, seeded())[0]
    for i in range(6):
        bright = images[i] * b[i]
        grey = sum(w * bright[:, k] for k, w in enumerate(GREY)).unsqueeze(1)
        saturated = grey + (bright - grey) * s[i]
        assert torch.allclose(changed[i], grey.mean() + (saturated - grey.mean()) * c[i], atol=1e-6)


@pytest.mark.parametrize("degrees", [10.0, 40.0])
def test_rotation_moves_a_dot_by_its_angle_and_no_further(degrees):
    images = torch.zeros(40, 2, 3, 65, 65)
    images[..., 30:35, 52:57] = 1
    moved, _ = Augmentation(rotate_deg=degrees)(images, seeded())
    weight = moved[:, :, 0] / moved[:, :, 0].sum((-1, -2), keepdim=True)
    axis = torch.arange(65.0) - 32
    x, y = (weight.sum(-2) * axis).sum(-1), (weight.sum(-1) * axis).sum(-1)
    turned = torch.atan2(y, x) * 180 / math.pi
    assert turned.abs().max() <= degrees + 0.5
    assert turned.abs().max() > 0.8 * degrees
    assert torch.hypot(x, y) == pytest.approx(22, abs=0.3)
    assert not torch.allclose(turned[:, 0], turned[:, 1])


def test_scale_changes_the_size_within_its_bounds():
    images = torch.zeros(40, 1, 3, 65, 65)
    images[..., 16:49, 16:49] = 1
    sides = Augmentation(scale=0.2)(images, seeded())[0][:, 0, 0].sum((-1, -2)).sqrt() / 33
    assert sides.min() >= 0.79
    assert sides.max() <= 1.21
    assert sides.max() - sides.min() > 0.2


def test_flat_grey_images_do_not_change_with_saturation_or_contrast():
    grey = torch.full((2, 2, 3, 4, 4), 0.3)
    assert torch.allclose(replace(Augmentation(), contrast=0.5, saturation=0.5)(grey, seeded())[0], grey, atol=1e-6)

import math
from dataclasses import replace

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from study.data.augmentation import LUMA, Augmentation, random_crops

IMAGES = torch.rand(6, 2, 3, 9, 9, generator=torch.Generator().manual_seed(1))
ALL = Augmentation(flip=True, rotate_deg=15.0, scale=0.1, brightness=0.2, contrast=0.2, saturation=0.2)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_all_zero_does_no_work() -> None:
    images, swapped = Augmentation()(IMAGES, seeded())
    assert images is IMAGES
    assert not swapped.any()


def test_a_flip_mirrors_both_eyes_and_exchanges_them() -> None:
    images, swapped = Augmentation(flip=True)(IMAGES, seeded())
    assert 0 < swapped.sum() < len(IMAGES)
    for image, before, flipped in zip(images, IMAGES, swapped, strict=True):
        expected = torch.stack([before[1].flip(-1), before[0].flip(-1)]) if flipped else before
        assert torch.equal(image, expected)


def test_a_single_image_is_only_mirrored() -> None:
    images, swapped = Augmentation(flip=True)(IMAGES[:, :1], seeded())
    assert torch.equal(images[swapped], IMAGES[:, :1][swapped].flip(-1))


def test_a_vertical_flip_turns_all_views_and_leaves_the_eyes_in_their_places() -> None:
    images, swapped = Augmentation(flip_vertical=True)(IMAGES, seeded())
    turned = [not torch.equal(a, b) for a, b in zip(images, IMAGES, strict=True)]
    assert not swapped.any()
    assert 0 < sum(turned) < len(IMAGES)
    for image, before, was_turned in zip(images, IMAGES, turned, strict=True):
        assert torch.equal(image, before.flip(-2) if was_turned else before)


def whereabouts(num: int, px: int = 64) -> Float[Tensor, "n 2 3 h w"]:
    """Images whose first two channels say where a pixel comes from: x and y in -1 to 1."""
    axis = (torch.arange(px) * 2 + 1) / px - 1
    x, y = torch.meshgrid(axis, axis, indexing="xy")
    return torch.stack([x, y, torch.ones(px, px)]).expand(num, 2, 3, px, px)


@pytest.mark.parametrize("smallest", [0.08, 0.5, 0.8])
def test_a_crop_keeps_an_upright_rectangle_within_its_bounds(smallest: float) -> None:
    num, px = 150, 64
    images, _ = Augmentation(crop=smallest)(whereabouts(num, px), seeded())
    flat = images.flatten(0, 1)
    # The border of a full-width crop is half a pixel outside.
    assert (flat[:, 2] > 0.999).float().mean() > 0.97
    inner = slice(8, px - 8)
    x, y = flat[:, 0, inner, inner], flat[:, 1, inner, inner]
    assert (x - x[:, :1]).abs().max() < 1e-4
    assert (y - y[:, :, :1]).abs().max() < 1e-4
    step = 2 * (px - 17) / px
    width, height = (x[:, 0, -1] - x[:, 0, 0]) / step, (y[:, -1, 0] - y[:, 0, 0]) / step
    middle_x, middle_y = (x[:, 0, 0] + x[:, 0, -1]) / 2, (y[:, 0, 0] + y[:, -1, 0]) / 2
    assert (middle_x.abs() + width <= 1 + 1e-4).all()
    assert (middle_y.abs() + height <= 1 + 1e-4).all()
    area, ratio = width * height, width / height
    assert smallest - 1e-4 <= area.min() < smallest + 0.15
    assert area.mean() == pytest.approx((1 + smallest) / 2, abs=0.06)
    assert 3 / 4 - 1e-3 <= ratio.min() < 0.95
    assert 4 / 3 + 1e-3 >= ratio.max() > 1.05
    assert not torch.allclose(width.view(num, 2)[:, 0], width.view(num, 2)[:, 1])


def test_a_crop_follows_the_rotation_in_one_sampling() -> None:
    images = whereabouts(5)
    turned, _ = Augmentation(rotate_deg=30.0, scale=0.2)(images, seeded(3))
    both, _ = Augmentation(rotate_deg=30.0, scale=0.2, crop=0.3)(images, seeded(3))
    generator = seeded(3)
    torch.rand(10, generator=generator)  # the angles
    torch.rand(10, generator=generator)  # the sizes
    crops = random_crops(10, 0.3, generator)
    for image, before, crop in zip(both.flatten(0, 1), turned.flatten(0, 1), crops, strict=True):
        for row, column in [(20, 20), (32, 40), (45, 30)]:
            x, y = (
                float(crop[i, i]) * ((at * 2 + 1) / 64 - 1) + float(crop[i, 2])
                for i, at in enumerate((column, row))
            )
            left, top = ((at + 1) * 64 / 2 - 0.5 for at in (x, y))
            i, j = int(top), int(left)
            down, right = top - i, left - j
            around = before[:, i : i + 2, j : j + 2]
            weights = torch.outer(torch.tensor([1 - down, down]), torch.tensor([1 - right, right]))
            expected = (around * weights).sum((1, 2))
            if (around[2] > 0.999).all():
                assert torch.allclose(image[:2, row, column], expected[:2], atol=1e-4)


def test_what_is_switched_off_draws_no_random_number() -> None:
    plain = Augmentation(rotate_deg=10.0, scale=0.05, brightness=0.1)
    switched_off = replace(plain, crop=1.0, flip_vertical=False)
    assert torch.equal(plain(IMAGES, seeded())[0], switched_off(IMAGES, seeded())[0])


def test_same_seed_same_images_other_seed_others() -> None:
    first, again, other = (ALL(IMAGES, seeded(s))[0] for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.min() >= 0
    assert first.max() <= 1


def test_light_is_shared_by_the_views_of_a_sample() -> None:
    same = IMAGES[:, :1].expand(-1, 2, -1, -1, -1)
    images, _ = Augmentation(brightness=0.3, contrast=0.3, saturation=0.3)(same, seeded())
    assert torch.equal(images[:, 0], images[:, 1])
    factors = Augmentation(brightness=0.3)(torch.full((6, 2, 3, 2, 2), 0.5), seeded())[0][:, 0, 0, 0, 0] / 0.5
    assert len(factors.unique()) == 6
    assert (factors - 1).abs().max() <= 0.3


def test_light_follows_its_formula() -> None:
    generator = seeded()
    b, s, c = (1 + (torch.rand(6, generator=generator) * 2 - 1) * 0.1 for _ in range(3))
    images = 0.4 + 0.2 * IMAGES
    changed = Augmentation(brightness=0.1, contrast=0.1, saturation=0.1)(images, seeded())[0]
    for i in range(6):
        bright = images[i] * b[i]
        grey = torch.einsum("vchw,c->vhw", bright, torch.tensor(LUMA)).unsqueeze(1)
        saturated = grey + (bright - grey) * s[i]
        assert torch.allclose(changed[i], grey.mean() + (saturated - grey.mean()) * c[i], atol=1e-6)


@pytest.mark.parametrize("degrees", [10.0, 40.0])
def test_rotation_moves_a_dot_by_its_angle_and_no_further(degrees: float) -> None:
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


def test_scale_changes_the_size_within_its_bounds() -> None:
    images = torch.zeros(40, 1, 3, 65, 65)
    images[..., 16:49, 16:49] = 1
    sides = Augmentation(scale=0.2)(images, seeded())[0][:, 0, 0].sum((-1, -2)).sqrt() / 33
    assert sides.min() >= 0.79
    assert sides.max() <= 1.21
    assert sides.max() - sides.min() > 0.2


def test_flat_grey_images_do_not_change_with_saturation_or_contrast() -> None:
    grey = torch.full((2, 2, 3, 4, 4), 0.3)
    assert torch.allclose(
        replace(Augmentation(), contrast=0.5, saturation=0.5)(grey, seeded())[0], grey, atol=1e-6
    )

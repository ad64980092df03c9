"""What an image's light is compared with: the weighted mean of the surround of each pixel."""

import math

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from scipy.ndimage import gaussian_filter, uniform_filter  # type: ignore[attr-defined]  # set at run time

MID_GREY = 128.0
TRUNCATE = 3.0  # standard deviations at which the Gaussian is cut off
NUM_BOXES = 3  # box filters in a row that are nearly a Gaussian


def difference_from_blur(
    image: UInt8[np.ndarray, "h w 3"], gain: float, sigma_px: float
) -> UInt8[np.ndarray, "h w 3"]:
    """J = gain·(I - G_σ * I) + 128 in each channel, G_σ a Gaussian, the image mirrored at its border."""
    plain = image.astype(np.float32)
    surround = gaussian_filter(plain, (sigma_px, sigma_px, 0), mode="mirror", truncate=TRUNCATE)
    return to_bytes(gain * (plain - surround) + MID_GREY)


def field_mean(
    image: Float32[np.ndarray, "h w 3"], field: Bool[np.ndarray, "h w"], window_px: int, times: int = 1
) -> Float32[np.ndarray, "h w 3"]:
    """Mean of the pixels of the field in a square window around each pixel.

    Dividing by the share of the window that lies in the field keeps the field's rim as bright as its middle.
    Outside the field the values mean nothing.

    Args:
        image: Values of the image.
        field: Which pixels belong to the field.
        window_px: Side of the window in pixels.
        times: How often the mean is taken; `NUM_BOXES` times is nearly a Gaussian's mean.
    """
    weight = field[..., None].astype(np.float32)
    total, share = image * weight, weight
    size = (window_px, window_px, 1)
    for _ in range(times):
        total, share = (uniform_filter(part, size, mode="constant") for part in (total, share))
    mean: Float32[np.ndarray, "h w 3"] = total / np.maximum(share, 1e-6)
    return mean


def gaussian_window(sigma_px: float) -> int:
    """Odd side w of the window whose mean, taken three times, is nearly a Gaussian's: 3·(w² - 1)/12 = σ²."""
    return 2 * round((math.sqrt(12 * sigma_px**2 / NUM_BOXES + 1) - 1) / 2) + 1


def to_bytes(values: Float32[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Rounded to 0 to 255."""
    rounded: np.ndarray = np.rint(values.clip(0, 255)).astype(np.uint8)
    return rounded

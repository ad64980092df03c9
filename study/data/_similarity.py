"""Whether two thumbnails show one eye: how well their vessels agree when one image is laid over the other.

Brightness, haze and the round field are much the same in all fundus photographs, so only detail between two
scales is compared: vessels, the rim of the optic disc, bleedings. The amplitude spectrum of that detail does
not depend on where the eye was looking; it finds the few pairs of images that are worth comparing.
Correlation over shifts and small rotations then decides.

Source: this project; phase-free spectra and normalised cross-correlation under masks (Padfield 2012) are
textbook parts.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8
from scipy import fft
from scipy.ndimage import gaussian_filter, minimum_filter, rotate  # type: ignore[attr-defined]

from study.data.cache import THUMB_PX

# Grey levels, of 255. A pixel between these limits shows an eye.
MIN_LIT = 10
MIN_LIT_SHARE = 0.06  # of the image's maximum
SATURATED = 250
NOISE_LEVEL = 2.0  # contrast below it is not enlarged

# Lengths in pixels of a thumbnail.
RIM_PX = 3  # the rim of the field belongs to the camera, not to the eye
FINE_SIGMA_PX = 1.0
COARSE_SIGMA_PX = 2.5
CONTRAST_SIGMA_PX = 4.0  # neighbourhood in which contrast is equalised
MAX_SHIFT_PX = 16  # distance between two photographs of an eye

LOWEST_FREQUENCY, HIGHEST_FREQUENCY = 0.04, 0.3  # cycles a pixel
ROTATIONS_DEG = (0.0, -3.0, 3.0, -6.0, 6.0)
MIN_OVERLAP = 0.4  # share of the round field that two photographs must have in common
IMAGES_AT_A_TIME = 256
ROWS_AT_A_TIME = 1024

_Y, _X = np.mgrid[:THUMB_PX, :THUMB_PX] - (THUMB_PX - 1) / 2
_DISC = np.hypot(_Y, _X) < 0.48 * THUMB_PX
_FREQUENCY = np.hypot(fft.fftfreq(THUMB_PX)[:, None], fft.rfftfreq(THUMB_PX)[None])
_BAND = (_FREQUENCY > LOWEST_FREQUENCY) & (_FREQUENCY < HIGHEST_FREQUENCY)
_PADDED_PX = THUMB_PX + MAX_SHIFT_PX  # shifts within the limit do not wrap around
_SHIFTS = np.minimum(np.arange(_PADDED_PX), _PADDED_PX - np.arange(_PADDED_PX))
_ALLOWED_SHIFT = (_SHIFTS <= MAX_SHIFT_PX)[:, None] & (_SHIFTS <= MAX_SHIFT_PX)


@dataclass(frozen=True)
class Detail:
    """What is compared of some images.

    Attributes:
        values: Contrast between the two scales, equalised over the image; 0 outside the field.
        field: 1 where the eye is seen, except in the rim; 0 elsewhere.
    """

    values: Float32[np.ndarray, "m 64 64"]
    field: Float32[np.ndarray, "m 64 64"]

    @classmethod
    def of(cls, thumbs: UInt8[np.ndarray, "m 64 64 3"]) -> "Detail":
        """The detail of the green channel.

        It is the difference of two blurred copies, divided by the contrast in the neighbourhood. No blur sees
        anything outside the field.
        """
        lit = lit_field(thumbs).astype(np.float32)
        green = thumbs[..., 1].astype(np.float32) * lit
        fine, coarse = (
            _blur(green, px) / np.maximum(_blur(lit, px), 1e-3) for px in (FINE_SIGMA_PX, COARSE_SIGMA_PX)
        )
        field = minimum_filter(lit, (1, 2 * RIM_PX + 1, 2 * RIM_PX + 1))
        values = (fine - coarse) * field
        energy, weight = (_blur(part, CONTRAST_SIGMA_PX) for part in (values**2, field))
        contrast = np.sqrt(energy / np.maximum(weight, 1e-3))
        values *= field / (contrast + NOISE_LEVEL)
        mean = values.sum((1, 2), keepdims=True) / np.maximum(field.sum((1, 2), keepdims=True), 1)
        return cls(values - mean * field, field)

    def rows(self, rows: Int[np.ndarray, " n"]) -> "Detail":
        """The detail of some of the images."""
        return Detail(self.values[rows], self.field[rows])

    def rotated(self, degrees: float) -> "Detail":
        """The images rotated about their centres."""
        if degrees == 0:
            return self
        values, field = (
            rotate(part, degrees, axes=(2, 1), reshape=False, order=1) for part in (self.values, self.field)
        )
        return Detail(values, field)

    def spectrum(self) -> Float32[np.ndarray, "m f"]:
        """Root of the amplitude at each frequency of the band, smoothed; no shift of the eye changes it."""
        amplitude = np.abs(fft.rfft2(self.values, workers=-1))
        return np.asarray(gaussian_filter(np.sqrt(amplitude), (0, 0.7, 0.7))[:, _BAND], dtype=np.float32)


def lit_field(thumbs: UInt8[np.ndarray, "m 64 64 3"]) -> Bool[np.ndarray, "m 64 64"]:
    """Where light came back from an eye and did not saturate the camera, within the round field."""
    red, green, blue = (thumbs[..., channel] for channel in range(3))
    brightest, dimmest = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    dark = np.maximum(MIN_LIT, MIN_LIT_SHARE * brightest.max((1, 2), keepdims=True))
    return np.asarray((brightest > dark) & (dimmest < SATURATED) & _DISC)


def visible_share(thumbs: UInt8[np.ndarray, "m 64 64 3"]) -> Float[np.ndarray, " m"]:
    """Share of the round field in which an eye is seen, 0 to 1."""
    share = np.empty(len(thumbs))
    for start in range(0, len(thumbs), IMAGES_AT_A_TIME):
        part = slice(start, start + IMAGES_AT_A_TIME)
        share[part] = lit_field(thumbs[part]).sum((1, 2)) / _DISC.sum()
    return share


def spectra_and_strength(
    thumbs: UInt8[np.ndarray, "m 64 64 3"],
) -> tuple[Float32[np.ndarray, "m f"], Float32[np.ndarray, " m"]]:
    """The spectrum and strength of detail of each image: 0 none, about 0.2 a hazy eye, 0.6 a clear one."""
    spectra = np.zeros((len(thumbs), int(_BAND.sum())), dtype=np.float32)
    strength = np.zeros(len(thumbs), dtype=np.float32)
    for start in range(0, len(thumbs), IMAGES_AT_A_TIME):
        part = slice(start, start + IMAGES_AT_A_TIME)
        detail = Detail.of(thumbs[part])
        spectra[part] = detail.spectrum()
        num_seen = np.maximum(detail.field.sum((1, 2)), 1)
        strength[part] = np.sqrt((detail.values**2).sum((1, 2)) / num_seen)
    return spectra, strength


def whiten(vectors: Float32[np.ndarray, "m f"]) -> Float32[np.ndarray, "m f"]:
    """Decorrelated unit vectors, in which what all images have in common no longer counts.

    Few images say little about a covariance, and a full whitening would make even copies differ. The
    covariance is therefore shrunk towards the identity, by 1 / m of the total variance.
    """
    centred = _unit(vectors - vectors.mean(axis=0))
    covariance = centred.T @ centred / len(centred)
    variances, axes = np.linalg.eigh(covariance.astype(np.float64))
    floor = max(float(variances.sum()) / len(centred), 1e-12)
    return _unit(centred @ (axes / np.sqrt(np.maximum(variances, 0) + floor)).astype(np.float32))


def similar_pairs(vectors: Float32[np.ndarray, "m f"], min_cosine: float) -> Int[np.ndarray, "n 2"]:
    """Pairs of rows (first < second) of unit vectors with a cosine above `min_cosine`.

    All pairs are looked at, a block of rows at a time.
    """
    found = [np.zeros((0, 2), dtype=np.int64)]
    for start in range(0, len(vectors), ROWS_AT_A_TIME):
        cosines = vectors[start : start + ROWS_AT_A_TIME] @ vectors[start:].T
        first, second = np.nonzero(cosines > min_cosine)
        upper = second > first
        found.append(np.stack([first[upper] + start, second[upper] + start], axis=1))
    return np.concatenate(found)


def registered_correlation(
    thumbs: UInt8[np.ndarray, "m 64 64 3"], pairs: Int[np.ndarray, "n 2"]
) -> Float[np.ndarray, " n"]:
    """Greatest correlation of each pair's detail over all shifts and small rotations.

    Only shifts at which the two fields overlap enough count; 0 where there is none.
    """
    best = np.zeros(len(pairs))
    for start in range(0, len(pairs), IMAGES_AT_A_TIME):
        part = pairs[start : start + IMAGES_AT_A_TIME]
        rows, places = np.unique(part, return_inverse=True)
        detail = Detail.of(thumbs[rows])
        first, second = (detail.rows(column) for column in places.reshape(part.shape).T)
        best_of_part = best[start : start + IMAGES_AT_A_TIME]
        for degrees in ROTATIONS_DEG:
            np.maximum(best_of_part, _correlation(first, second.rotated(degrees)), out=best_of_part)
    return best


def _correlation(first: Detail, second: Detail) -> Float[np.ndarray, " n"]:
    """Greatest Σab / √(Σa²·Σb²) over shifts, each sum over the overlap of the two fields at that shift."""
    a, a2, in_a = (_transform(part) for part in (first.values, first.values**2, first.field))
    b, b2, in_b = (np.conj(_transform(part)) for part in (second.values, second.values**2, second.field))
    energy = np.maximum(_inverse(a2 * in_b), 1e-2) * np.maximum(_inverse(in_a * b2), 1e-2)
    enough = (_inverse(in_a * in_b) > MIN_OVERLAP * _DISC.sum()) & _ALLOWED_SHIFT
    return np.asarray(np.where(enough, _inverse(a * b) / np.sqrt(energy), 0.0).max(axis=(1, 2)))


def _transform(part: Float32[np.ndarray, "n 64 64"]) -> np.ndarray:
    return np.asarray(fft.rfft2(part, (_PADDED_PX, _PADDED_PX), workers=-1))


def _inverse(product: np.ndarray) -> np.ndarray:
    return np.asarray(fft.irfft2(product, (_PADDED_PX, _PADDED_PX), workers=-1))


def _blur(images: Float32[np.ndarray, "m 64 64"], sigma_px: float) -> Float32[np.ndarray, "m 64 64"]:
    return np.asarray(gaussian_filter(images, (0, sigma_px, sigma_px), truncate=3))


def _unit(vectors: Float32[np.ndarray, "m f"]) -> Float32[np.ndarray, "m f"]:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6))

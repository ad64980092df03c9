"""Whether two thumbnails show one eye: their vessels, laid over each other.

Brightness, haze and the round field make all fundus photographs alike, so only what lies between two scales is compared: the
vessels, the disc's rim, bleedings. Its amplitude spectrum stays the same wherever the eye was looking, which finds the few pairs
worth laying over each other among all; correlation over shifts and small rotations then decides.

Source: this project; phase-free spectra and normalised cross-correlation under masks (Padfield 2012) are textbook parts.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8
from scipy import fft
from scipy.ndimage import gaussian_filter, minimum_filter, rotate  # type: ignore[attr-defined]

SIDE = 64
DARK, DARK_SHARE, BURNT = (
    10,
    0.06,
    250,
)  # of 255: darker (also than a share of the frame's maximum) or brighter shows no eye
RIM_PX = 3  # the field's rim is the camera's, not the eye's
FINE_PX, COARSE_PX, NEAR_PX = (
    1.0,
    2.5,
    4.0,
)  # what is compared lies between the first two; the third is where contrast is evened
NOISE = 2.0  # grey levels: contrast below this is not blown up
LOWEST, HIGHEST = 0.04, 0.3  # cycles a pixel
ROTATIONS_DEG = (0.0, -3.0, 3.0, -6.0, 6.0)
SHIFT_PX = 16  # how far two photographs of an eye may be apart
OVERLAP = 0.4  # of the full disc: the least that two photographs must share
CHUNK = 256

_Y, _X = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
_DISC = np.hypot(_Y, _X) < 0.48 * SIDE
_FREQUENCY = np.hypot(fft.fftfreq(SIDE)[:, None], fft.rfftfreq(SIDE)[None])
_BAND = (_FREQUENCY > LOWEST) & (_FREQUENCY < HIGHEST)
_PADDED = SIDE + SHIFT_PX  # shifts within the limit do not wrap around
_NEAR = np.minimum(np.arange(_PADDED), _PADDED - np.arange(_PADDED)) <= SHIFT_PX


@dataclass(frozen=True)
class Detail:
    """What is compared of some images.

    Attributes:
        values: contrast between the two scales, evened over the image; 0 outside the field.
        field: 1 where the eye is seen, less the rim.
    """

    values: Float32[np.ndarray, "m 64 64"]
    field: Float32[np.ndarray, "m 64 64"]

    @classmethod
    def of(cls, thumbs: UInt8[np.ndarray, "m 64 64 3"]) -> "Detail":
        """Green channel, smoothed less blurred, over its own contrast nearby; blurs see nothing outside the field."""
        lit = lit_field(thumbs).astype(np.float32)
        green = thumbs[..., 1].astype(np.float32) * lit
        fine, coarse = (_blur(green, px) / np.maximum(_blur(lit, px), 1e-3) for px in (FINE_PX, COARSE_PX))
        field = minimum_filter(lit, (1, 2 * RIM_PX + 1, 2 * RIM_PX + 1))
        values = (fine - coarse) * field
        contrast = np.sqrt(_blur(values**2, NEAR_PX) / np.maximum(_blur(field, NEAR_PX), 1e-3))
        values *= field / (contrast + NOISE)
        mean = values.sum((1, 2), keepdims=True) / np.maximum(field.sum((1, 2), keepdims=True), 1)
        return cls(values - mean * field, field)

    def rows(self, rows: Int[np.ndarray, " n"]) -> "Detail":
        """The same of some of the images."""
        return Detail(self.values[rows], self.field[rows])

    def turned(self, degrees: float) -> "Detail":
        """The images rotated about their centre."""
        if degrees == 0:
            return self
        return Detail(
            *(
                rotate(part, degrees, axes=(2, 1), reshape=False, order=1)
                for part in (self.values, self.field)
            )
        )

    def spectrum(self) -> Float32[np.ndarray, "m f"]:
        """Root of the amplitude at each frequency of the band, smoothed; a shifted eye has the same."""
        amplitude = np.abs(fft.rfft2(self.values, workers=-1))
        return np.asarray(gaussian_filter(np.sqrt(amplitude), (0, 0.7, 0.7))[:, _BAND], dtype=np.float32)


def lit_field(thumbs: UInt8[np.ndarray, "m 64 64 3"]) -> Bool[np.ndarray, "m 64 64"]:
    """Where light came back from an eye and did not saturate the camera, within the round field."""
    red, green, blue = (thumbs[..., channel] for channel in range(3))
    brightest, dimmest = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    dark = np.maximum(DARK, DARK_SHARE * brightest.max((1, 2), keepdims=True))
    return np.asarray((brightest > dark) & (dimmest < BURNT) & _DISC)


def seen_share(thumbs: UInt8[np.ndarray, "m 64 64 3"]) -> Float[np.ndarray, " m"]:
    """Share of the round field in which an eye is seen, 0 to 1."""
    share = np.empty(len(thumbs))
    for at in range(0, len(thumbs), CHUNK):
        share[at : at + CHUNK] = lit_field(thumbs[at : at + CHUNK]).sum((1, 2)) / _DISC.sum()
    return share


def described(
    thumbs: UInt8[np.ndarray, "m 64 64 3"],
) -> tuple[Float32[np.ndarray, "m f"], Float32[np.ndarray, " m"]]:
    """The spectrum of each image, and how much detail it has: 0 none, some 0.2 a hazy eye, 0.6 a clear one."""
    spectra = np.zeros((len(thumbs), int(_BAND.sum())), dtype=np.float32)
    strength = np.zeros(len(thumbs), dtype=np.float32)
    for at in range(0, len(thumbs), CHUNK):
        detail = Detail.of(thumbs[at : at + CHUNK])
        spectra[at : at + CHUNK] = detail.spectrum()
        strength[at : at + CHUNK] = np.sqrt(
            (detail.values**2).sum((1, 2)) / np.maximum(detail.field.sum((1, 2)), 1)
        )
    return spectra, strength


def whitened(vectors: Float32[np.ndarray, "m f"]) -> Float32[np.ndarray, "m f"]:
    """Unit vectors in which what all images share no longer counts: decorrelated, the covariance shrunk towards the identity.

    Few images say little about a covariance, and a full whitening would make even copies strangers: the shrinkage is 1 / m of
    the total variance.
    """
    centred = _unit(vectors - vectors.mean(axis=0))
    covariance = centred.T @ centred / len(centred)
    variances, axes = np.linalg.eigh(covariance.astype(np.float64))
    floor = max(float(variances.sum()) / len(centred), 1e-12)
    return _unit(centred @ (axes / np.sqrt(np.maximum(variances, 0) + floor)).astype(np.float32))


def alike(vectors: Float32[np.ndarray, "m f"], least: float) -> Int[np.ndarray, "n 2"]:
    """Pairs of rows (first < second) whose cosine is above `least`, from all pairs, a block at a time."""
    found = [np.zeros((0, 2), dtype=np.int64)]
    for at in range(0, len(vectors), 4 * CHUNK):
        first, second = np.nonzero(vectors[at : at + 4 * CHUNK] @ vectors[at:].T > least)
        upper = second > first
        found.append(np.stack([first[upper] + at, second[upper] + at], axis=1))
    return np.concatenate(found)


def overlaid(
    thumbs: UInt8[np.ndarray, "m 64 64 3"], pairs: Int[np.ndarray, "n 2"]
) -> Float[np.ndarray, " n"]:
    """Greatest correlation of each pair's detail over all shifts and small rotations, where the two fields overlap enough; else 0."""
    best = np.zeros(len(pairs))
    for at in range(0, len(pairs), CHUNK):
        chunk = pairs[at : at + CHUNK]
        rows, places = np.unique(chunk, return_inverse=True)
        detail = Detail.of(thumbs[rows])
        first, second = (detail.rows(side) for side in places.reshape(chunk.shape).T)
        for degrees in ROTATIONS_DEG:
            np.maximum(
                best[at : at + CHUNK], _correlation(first, second.turned(degrees)), out=best[at : at + CHUNK]
            )
    return best


def _correlation(first: Detail, second: Detail) -> Float[np.ndarray, " n"]:
    """Greatest Σab / √(Σa²·Σb²) over shifts, each sum over the overlap of the two fields at that shift."""
    a, a2, in_a = (_transform(part) for part in (first.values, first.values**2, first.field))
    b, b2, in_b = (np.conj(_transform(part)) for part in (second.values, second.values**2, second.field))
    energy = np.maximum(_inverse(a2 * in_b), 1e-2) * np.maximum(_inverse(in_a * b2), 1e-2)
    enough = (_inverse(in_a * in_b) > OVERLAP * _DISC.sum()) & _NEAR[:, None] & _NEAR
    return np.asarray(np.where(enough, _inverse(a * b) / np.sqrt(energy), 0.0).max(axis=(1, 2)))


def _transform(part: Float32[np.ndarray, "n 64 64"]) -> np.ndarray:
    return np.asarray(fft.rfft2(part, (_PADDED, _PADDED), workers=-1))


def _inverse(product: np.ndarray) -> np.ndarray:
    return np.asarray(fft.irfft2(product, (_PADDED, _PADDED), workers=-1))


def _blur(images: Float32[np.ndarray, "m 64 64"], px: float) -> Float32[np.ndarray, "m 64 64"]:
    return np.asarray(gaussian_filter(images, (0, px, px), truncate=3))


def _unit(vectors: Float32[np.ndarray, "m f"]) -> Float32[np.ndarray, "m f"]:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6))

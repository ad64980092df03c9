"""Image files, decoded to 8-bit RGB or refused with a reason, and small pictures as JPEG."""

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from study.data import dicom
from study.data.dicom import is_dicom, read_dicom
from study.data.image_limits import frame_number, require_size, too_large
from study.spec.errors import BadImageError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"}) | dicom.SUFFIXES
DEPTHS = (8, 10, 12, 14, 16)  # bits of the grey values that cameras give
TIFF_MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@dataclass(frozen=True)
class ImageFolder:
    """Loads images by their path below a folder.

    Attributes:
        folder: The folder.
        frame: Which frame is taken of a file that has several, from 1.
    """

    folder: str
    frame: int = 1

    def __call__(self, key: str) -> UInt8[np.ndarray, "h w 3"]:
        """Decodes the file `key`.

        Raises:
            BadImageError: as in `read_image`, or the path leads out of the folder.
        """
        folder, path = (Path(os.path.normpath(p)) for p in (self.folder, Path(self.folder) / key))
        if not path.is_relative_to(folder):
            raise BadImageError("its path leads out of the data's folder")
        return read_image(path, self.frame)


def read_image(path: Path, frame: int = 1) -> UInt8[np.ndarray, "h w 3"]:
    """The picture as 8-bit RGB.

    It is turned upright by its EXIF entry; deeper grey values are scaled down (see `_scaled_down`),
    transparency is dropped.

    Args:
        path: The file.
        frame: Which frame is taken, from 1, of a TIFF or DICOM file that has several.

    Raises:
        BadImageError: the file is missing, empty, not an image, truncated, or larger than 100
            megapixels; its grey values are negative or not finite; or its colours have 16 bits a
            channel and fill so few of them that hardly any would be left of 8.
    """
    if not path.is_file():
        raise BadImageError("missing")
    if path.stat().st_size == 0:
        raise BadImageError("empty file")
    try:
        if is_dicom(path):
            return read_dicom(path, frame)
        with Image.open(path) as image:
            if image.format == "TIFF":
                image.seek(frame_number(getattr(image, "n_frames", 1), frame) - 1)
            require_size(image.width * image.height)
            is_deep = any(";16" in str(part) for part in image.tile)
            upright = ImageOps.exif_transpose(image)
    except UnidentifiedImageError:
        with path.open("rb") as file:
            is_tiff = file.read(4) in TIFF_MARKS
        raise BadImageError(
            "a TIFF of a kind that cannot be read; save it as PNG" if is_tiff else "not an image"
        ) from None
    except Image.DecompressionBombError:
        raise too_large() from None  # by Pillow's own limit, which is higher
    except BadImageError:
        raise
    except Exception as error:  # a decoder raises nearly anything for a damaged file
        raise BadImageError(f"cannot be decoded ({error})") from None
    if upright.mode.startswith(("I", "F")):
        return _scaled_down(np.asarray(upright))
    pixels = np.asarray(upright.convert("RGB"))
    if is_deep and 0 < pixels.max() < 2**6:
        raise BadImageError("16 bits a channel, of which at most 14 are used; save it with 8 bits a channel")
    return pixels


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Keeps Pillow's warnings about odd files off the console.

    It stands around a whole pool of threads, since filters of warnings belong to the process.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _scaled_down(grey: np.ndarray) -> UInt8[np.ndarray, "h w 3"]:
    """Grey values that are not of 8 bits, as their share of the range that they use.

    The range is that of the fewest bits of `DEPTHS` that hold the greatest value, since cameras of 10, 12 and
    14 bits save them in 16; 0 to 1 where floating values stay below; and 0 to the greatest value beyond 16
    bits. Interpolation leaves values a little below zero, which count as zero.
    """
    if not np.isfinite(grey).all():
        raise BadImageError("grey values that are not finite")
    least, most = float(grey.min()), float(grey.max())
    if least < -0.01 * max(most, 0.0):
        raise BadImageError(f"negative grey values (down to {least:g}); save it with values from 0")
    ranges = [1.0] * np.issubdtype(grey.dtype, np.floating) + [float(2**bits - 1) for bits in DEPTHS]
    top = next((top for top in ranges if most <= top), most)
    return np.repeat((np.clip(grey, 0, None) / top * 255).astype(np.uint8)[..., None], 3, axis=2)


def jpeg(pixels: UInt8[np.ndarray, "h w 3"], most_px: int) -> bytes:
    """The picture as JPEG, its greater side no longer than `most_px`."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((most_px, most_px))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=90)
    return out.getvalue()

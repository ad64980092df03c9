"""What every file of images must keep to: its size, and the frame that is taken of several."""

from study.spec.errors import BadImageError

MOST_PIXELS = 10**8  # decoded they take a gigabyte; photographs of eyes have a fifth of that


def require_size(num_pixels: int) -> None:
    """Passes a picture that is small enough to be decoded.

    Raises:
        BadImageError: It has more than 100 megapixels.
    """
    if num_pixels > MOST_PIXELS:
        raise too_large()


def too_large() -> BadImageError:
    """The error of a picture with more pixels."""
    return BadImageError(f"more than {MOST_PIXELS / 1e6:.3g} megapixels")


def frame_number(num_frames: int, wanted: int) -> int:
    """The frame to read of a file, from 1.

    Raises:
        BadImageError: The file has several frames, but fewer.
    """
    if num_frames > 1 and wanted > num_frames:
        raise BadImageError(f"has {num_frames} frames, and data.frame is {wanted}")
    return min(wanted, max(1, num_frames))

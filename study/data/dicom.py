"""One frame of a DICOM file as 8-bit RGB; of the file only the picture is read, never whose it is.

The picture is what a viewer shows: the window or the table that the file asks for, `MONOCHROME1` inverted,
palettes and YCbCr turned into colours. Where a file has no window, its grey values are their share of the
range that its stored bits can have. Names that are burnt into the pixels stay there; `data.crop_box` cuts
them off.
"""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Num, UInt8

from study.data.image_limits import frame_number, require_size
from study.spec.errors import BadImageError

SUFFIXES = frozenset({".dcm", ".dicom"})
FAR = 1e12  # beyond every window, whose ends are shown there
MARK, MARK_AT = b"DICM", 128  # bytes of a DICOM file at this place
NEEDS = "a DICOM file, which needs pydicom; `uv sync --extra dicom` installs it"
DECODER = "a DICOM file in {coding}, which no decoder here reads"
INSTALLS = "; `uv sync --extra dicom-lossless` installs one (licence: GPL 3)"
READ = (
    "TransferSyntaxUID",
    "SOPClassUID",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "ModalityLUTSequence",
    "RescaleIntercept",
    "RescaleSlope",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "VOILUTSequence",
    "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData",
    "SegmentedRedPaletteColorLookupTableData",
    "SegmentedGreenPaletteColorLookupTableData",
    "SegmentedBluePaletteColorLookupTableData",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "PixelData",
)
"""Everything that is read of a file: how its pixels are to be understood."""


def is_dicom(path: Path) -> bool:
    """Whether a file has the mark of DICOM."""
    with path.open("rb") as file:
        return file.read(MARK_AT + len(MARK))[MARK_AT:] == MARK


def read_dicom(path: Path, frame: int) -> UInt8[np.ndarray, "h w 3"]:
    """A frame of the file.

    Args:
        path: The file.
        frame: Which frame, from 1; a file with one frame gives that.

    Raises:
        BadImageError: pydicom is not installed, or the file has no such picture.
    """
    try:
        from pydicom import dcmread
        from pydicom.pixels.utils import pixel_array
    except ImportError:
        raise BadImageError(NEEDS) from None
    try:
        data = dcmread(path, specific_tags=list(READ))
        if "PixelData" not in data:
            raise BadImageError("a DICOM file without a picture")
        require_size(int(data.Rows) * int(data.Columns))
        plugin = _plugin(data)
        number = frame_number(int(data.get("NumberOfFrames") or 1), frame)
        return _shown(pixel_array(data, index=number - 1, decoding_plugin=plugin), data)
    except BadImageError:
        raise
    except Exception as error:  # a decoder raises nearly anything for a damaged file
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise BadImageError(f"cannot be decoded as DICOM ({reason})") from None


def _plugin(data: Any) -> str:
    """The decoder to take; empty for any. Pixels of eight bits are Pillow's wherever more is installed."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import JPEGLossless, JPEGLosslessSV1, JPEGLSTransferSyntaxes

    coding = data.file_meta.TransferSyntaxUID
    decoder = get_decoder(coding)
    if not decoder.is_available:
        text = DECODER.format(coding=coding.name.partition(",")[0])
        has_one = coding in (JPEGLossless, JPEGLosslessSV1, *JPEGLSTransferSyntaxes)
        raise BadImageError(text + (INSTALLS if has_one else ""))
    return "pillow" if "pillow" in decoder.available_plugins and data.BitsAllocated == 8 else ""


def _shown(pixels: Num[np.ndarray, "..."], data: Any) -> UInt8[np.ndarray, "h w 3"]:
    """Pixels as they are stored, but for YCbCr, which pydicom has turned into RGB."""
    from pydicom.pixels.processing import apply_color_lut

    kind = str(data.PhotometricInterpretation)
    if kind == "PALETTE COLOR":
        colours = apply_color_lut(pixels, data)
        return _of_bits(colours, int(data.RedPaletteColorLookupTableDescriptor[2]))
    if int(data.SamplesPerPixel) == 3:
        return _of_bits(pixels, int(data.BitsStored))
    grey = _grey(pixels, data)
    return np.repeat((255 - grey if kind == "MONOCHROME1" else grey)[..., None], 3, axis=-1)


def _grey(pixels: Num[np.ndarray, "h w"], data: Any) -> UInt8[np.ndarray, "h w"]:
    """Grey values through the file's window or table."""
    from pydicom.pixels.processing import apply_modality_lut, apply_voi, apply_windowing

    bits = int(data.BitsStored)
    if data.get("VOILUTSequence"):
        shown = apply_voi(apply_modality_lut(pixels, data), data, index=0)
        return _of_bits(shown, int(data.VOILUTSequence[0].LUTDescriptor[2]))
    if data.get("WindowCenter") is not None and data.get("WindowWidth") is not None:
        low, high = apply_windowing(np.array([-FAR, FAR]), data, index=0)
        return _of_range(apply_windowing(apply_modality_lut(pixels, data), data, index=0), low, high)
    least = float(-(2 ** (bits - 1)) if int(data.PixelRepresentation) else 0)
    return _of_range(pixels, least, least + 2**bits - 1)


def _of_bits(values: Num[np.ndarray, "..."], bits: int) -> UInt8[np.ndarray, "..."]:
    """Values of so many bits, of 8 bits."""
    return _of_range(values, 0.0, 2.0**bits - 1)


def _of_range(values: Num[np.ndarray, "..."], low: float, high: float) -> UInt8[np.ndarray, "..."]:
    """Values as their share of a range, of 255."""
    if values.dtype == np.uint8 and (low, high) == (0, 255):
        return values
    share = (values.astype(np.float64) - low) / max(high - low, 1e-12)
    return np.round(np.clip(share, 0, 1) * 255).astype(np.uint8)

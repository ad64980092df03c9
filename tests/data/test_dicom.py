"""DICOM files, and TIFF files of several frames: frame, colours and depth, and nothing of the patient."""

import base64
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("pydicom", reason="uv sync --extra dicom")

from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    UltrasoundMultiFrameImageStorage,
)

from study.data.cohort import open_cohort
from study.data.images import jpeg, read_image
from study.spec.data_section import DataSpec
from study.spec.errors import BadImageError

NAME = "Secret^Person"


def dicom(path: Path, pixels: np.ndarray, kind: str, **changes: Any) -> Path:
    """Writes a file; the first axis of the pixels are its frames."""
    data = Dataset()
    data.PatientName, data.PatientID = NAME, "4711"
    data.SOPClassUID, data.SOPInstanceUID = UltrasoundMultiFrameImageStorage, "1.2.3"
    data.NumberOfFrames, data.Rows, data.Columns = pixels.shape[:3]
    data.SamplesPerPixel = pixels.shape[3] if pixels.ndim == 4 else 1
    data.PhotometricInterpretation = kind
    if data.SamplesPerPixel == 3:
        data.PlanarConfiguration = 0
    data.BitsAllocated = 8 * pixels.dtype.itemsize
    data.BitsStored = changes.pop("bits", data.BitsAllocated)
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(np.issubdtype(pixels.dtype, np.signedinteger))
    data.PixelData = pixels.tobytes()
    data["PixelData"].VR = "OB" if data.BitsAllocated == 8 else "OW"
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = changes.pop("syntax", ExplicitVRLittleEndian)
    for name, value in changes.items():
        setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
    return path


def grey(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def three(pixels: np.ndarray) -> np.ndarray:
    return np.repeat(pixels[..., None], 3, axis=-1)


def test_the_chosen_frame_is_read(tmp_path: Path) -> None:
    frames = grey(3, 8, 10)
    path = dicom(tmp_path / "scan.dcm", frames, "MONOCHROME2")
    np.testing.assert_array_equal(read_image(path), three(frames[0]))
    np.testing.assert_array_equal(read_image(path, 3), three(frames[2]))
    with pytest.raises(BadImageError, match=r"has 3 frames, and data\.frame is 4"):
        read_image(path, 4)
    single = dicom(tmp_path / "single", frames[:1], "MONOCHROME2")  # without a suffix
    np.testing.assert_array_equal(read_image(single, 4), three(frames[0]))


def test_white_may_be_the_least_value(tmp_path: Path) -> None:
    frames = grey(1, 8, 10)
    path = dicom(tmp_path / "scan.dcm", frames, "MONOCHROME1")
    np.testing.assert_array_equal(read_image(path), three(255 - frames[0]))


def test_colours_are_those_of_the_photograph(tmp_path: Path) -> None:
    rgb = grey(2, 8, 10, 3)
    np.testing.assert_array_equal(read_image(dicom(tmp_path / "a.dcm", rgb, "RGB"), 2), rgb[1])
    smooth = np.linspace(0, 255, 16 * 16 * 3).reshape(16, 16, 3).astype(np.uint8)
    compressed = jpeg(smooth, 16)
    path = dicom(
        tmp_path / "b.dcm",
        smooth[None],
        "YBR_FULL_422",
        syntax=JPEGBaseline8Bit,
        PixelData=encapsulate([compressed]),
    )
    (tmp_path / "b.jpg").write_bytes(compressed)
    difference = read_image(path).astype(int) - read_image(tmp_path / "b.jpg").astype(int)
    assert np.abs(difference).max() <= 2


LOSSLESS = (  # eight columns and six rows of 0, 5, 10, ...
    "/9j/wwALCAAGAAgBAREA/8QAFgABAQEAAAAAAAAAAAAAAAAAAwYI/9oACAEB"
    "AAEAAM/qqqqrUKqqqrUKqqqrUKqqqrUKqqqrUKqqqr//2QA="
)


def lossless(path: Path) -> tuple[Path, np.ndarray]:
    """A file in lossless JPEG, and what it shows."""
    pixels = 5 * np.arange(48, dtype=np.uint8).reshape(6, 8)
    coded = encapsulate([base64.b64decode(LOSSLESS)])
    return dicom(path, pixels[None], "MONOCHROME2", syntax=JPEGLosslessSV1, PixelData=coded), pixels


def test_lossless_jpeg_gives_the_same_pixels(tmp_path: Path) -> None:
    pytest.importorskip("libjpeg", reason="uv sync --extra dicom-lossless")
    path, pixels = lossless(tmp_path / "scan.dcm")
    np.testing.assert_array_equal(read_image(path), three(pixels))


def test_without_its_decoder_one_message_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pydicom.pixels.decoders.base.Decoder.is_available", property(lambda self: False))
    with pytest.raises(BadImageError, match=r"in JPEG Lossless, which no .* --extra dicom-lossless"):
        read_image(lossless(tmp_path / "scan.dcm")[0])


def test_no_package_is_named_that_does_not_help(tmp_path: Path) -> None:
    htj2k = "1.2.840.10008.1.2.4.201"
    path = dicom(
        tmp_path / "scan.dcm", grey(1, 8, 10), "MONOCHROME2", PixelData=encapsulate([b"coded"]), syntax=htj2k
    )
    with pytest.raises(BadImageError, match=r"in High-Throughput JPEG 2000 .*, which no decoder here reads$"):
        read_image(path)


def test_a_palette_gives_colours(tmp_path: Path) -> None:
    index = grey(1, 8, 10)
    tables = {"Red": np.arange(256), "Green": 255 - np.arange(256), "Blue": np.zeros(256)}
    changes: dict[str, Any] = {}
    for name, table in tables.items():
        changes[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        changes[f"{name}PaletteColorLookupTableData"] = (table * 257).astype("<u2").tobytes()
    found = read_image(dicom(tmp_path / "a.dcm", index, "PALETTE COLOR", **changes))
    np.testing.assert_array_equal(found, np.stack([index[0], 255 - index[0], 0 * index[0]], axis=-1))


@pytest.mark.parametrize(
    ("values", "changes", "shown"),
    [
        (np.array([0, 2048, 4095], np.uint16), {"bits": 12}, [0, 128, 255]),
        (np.array([0, 1000, 65535], np.uint16), {}, [0, 4, 255]),
        (np.array([-2048, 0, 2047], np.int16), {"bits": 12}, [0, 128, 255]),
        # a window of soft tissue on Hounsfield units: -160 to 240
        (
            np.array([0, 1064, 2000], np.uint16),
            {
                "bits": 12,
                "RescaleSlope": 1,
                "RescaleIntercept": -1024,
                "WindowCenter": 40,
                "WindowWidth": 400,
            },
            [0, 128, 255],
        ),
        (np.array([0, 60, 200], np.uint8), {"WindowCenter": 60.5, "WindowWidth": 101}, [0, 128, 255]),
    ],
    ids=["12 bits", "16 bits", "signed", "window in units", "window of 8 bits"],
)
def test_depth_and_window(
    tmp_path: Path, values: np.ndarray, changes: dict[str, Any], shown: list[int]
) -> None:
    found = read_image(dicom(tmp_path / "a.dcm", values.reshape(1, 1, 3), "MONOCHROME2", **changes))
    np.testing.assert_allclose(found[0, :, 0], shown, atol=1)
    assert found.dtype == np.uint8


def test_files_without_a_picture_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    whole = dicom(tmp_path / "a.dcm", grey(1, 8, 10), "MONOCHROME2")
    (tmp_path / "b.dcm").write_bytes(whole.read_bytes()[:-40])
    with pytest.raises(BadImageError, match="cannot be decoded as DICOM"):
        read_image(tmp_path / "b.dcm")
    (tmp_path / "c.dcm").write_bytes(b"no DICOM at all")
    with pytest.raises(BadImageError, match="not an image"):
        read_image(tmp_path / "c.dcm")
    report = dcmread(whole)
    del report.PixelData
    report.save_as(tmp_path / "d.dcm")
    with pytest.raises(BadImageError, match="a DICOM file without a picture"):
        read_image(tmp_path / "d.dcm")


def test_without_the_library_one_message_says_how_to_get_it(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", grey(1, 8, 10), "MONOCHROME2")
    code = (
        "import sys; sys.modules['pydicom'] = None\n"
        "from pathlib import Path; from study.data.images import read_image\n"
        f"read_image(Path({str(path)!r}))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "BadImageError: a DICOM file, which needs pydicom; `uv sync --extra dicom`" in ended.stderr


def test_frames_of_a_tiff_file(tmp_path: Path) -> None:
    frames = [Image.fromarray(part) for part in grey(3, 8, 10, 3)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    for number, frame in enumerate(frames, 1):
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif", number), np.asarray(frame))
    with pytest.raises(BadImageError, match=r"has 3 frames, and data\.frame is 4"):
        read_image(tmp_path / "a.tif", 4)


def test_a_study_of_dicom_files_keeps_pixels_and_nothing_of_the_patient(tmp_path: Path) -> None:
    rows = ["left,right,sick"]
    for i in range(12):
        for eye in "lr":
            dicom(
                tmp_path / f"{i}{eye}.dcm",
                np.stack([np.full((24, 24), 10 * i + more, np.uint8) for more in (0, 5)]),
                "MONOCHROME2",
            )
        rows.append(f"{i}l.dcm,{i}r.dcm,{i % 2}")
    (tmp_path / "eyes.csv").write_text("\n".join(rows))
    data = {
        "dataset": {"name": "table", "labels": ["sick"]},
        "root": str(tmp_path / "eyes.csv"),
        "image_px": 16,
        "crop": "none",
        "split": {"group_duplicates": False},
    }
    first, second = (
        open_cohort(DataSpec.model_validate({**data, "frame": frame}), tmp_path / "cache") for frame in (1, 2)
    )
    assert first.cache.folder != second.cache.folder
    np.testing.assert_array_equal(first.cache.images + 5, second.cache.images)
    assert first.cache.images[:, 0, 0, 0].max() == 110
    stored = b"".join(path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert NAME.encode() not in stored
    assert b"4711" not in stored

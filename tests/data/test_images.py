from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from study.data import image_limits, images
from study.data.images import ImageFolder, quiet_pillow, read_image
from study.spec.errors import BadImageError


def test_every_mode_becomes_rgb(tmp_path: Path) -> None:
    for mode in ("L", "RGB", "RGBA", "P", "CMYK", "1"):
        path = tmp_path / f"{mode}.tif"
        Image.new(mode, (5, 4), 1).save(path)
        assert read_image(path).shape == (4, 5, 3)


def test_sixteen_bits_keep_their_share_of_the_range(tmp_path: Path) -> None:
    Image.fromarray(np.full((2, 2), 32768, dtype=np.uint16)).save(tmp_path / "deep.png")
    assert read_image(tmp_path / "deep.png")[0, 0].tolist() == [127, 127, 127]


def test_exif_note_turns_the_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 4)).save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg").shape == (8, 4, 3)


def test_missing_empty_text_and_truncated_files_are_refused(
    tmp_path: Path, write_image: Callable[..., Path]
) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no picture")
    whole = write_image(tmp_path / "whole.png", size=(200, 200)).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    for name, reason in [
        ("absent.jpg", "missing"),
        ("empty.jpg", "empty"),
        ("text.jpg", "not an image"),
        ("cut.png", "cannot be decoded"),
    ]:
        with pytest.raises(BadImageError, match=reason):
            ImageFolder(str(tmp_path))(name)


def test_absurdly_large_pictures_are_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_image: Callable[..., Path]
) -> None:
    monkeypatch.setattr(image_limits, "MOST_PIXELS", 8000)
    with pytest.raises(BadImageError, match=r"more than 0\.008 megapixels"):
        read_image(write_image(tmp_path / "large.png", size=(100, 100)))
    with quiet_pillow():
        assert read_image(write_image(tmp_path / "fair.png", size=(70, 70))).shape == (70, 70, 3)


def test_a_file_that_cannot_be_opened_is_a_bad_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_image: Callable[..., Path]
) -> None:
    def refused(path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(images, "is_dicom", refused)
    with pytest.raises(BadImageError, match=r"cannot be decoded \(.*Permission denied"):
        read_image(write_image(tmp_path / "locked.png"))

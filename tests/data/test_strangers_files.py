"""Files as strangers have them: each kind is made here, and is read right or refused with one message."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from study.data.cache import ImageCache
from study.data.datasets.eyepacs import Eyepacs
from study.data.datasets.folders import Folders
from study.data.datasets.odir5k import COLUMNS, Odir5k
from study.data.datasets.table import Table
from study.data.images import read_image
from study.data.pairs import Pairs, single_eyes
from study.data.preprocessing import Preprocessing
from study.spec.errors import BadImageError, DataError

PAIRED: dict[str, Any] = {"left": "os", "right": "od", "labels": ["dr"]}


def touched(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def sheet(root: Path, text: str, encoding: str = "utf-8") -> Path:
    (root / "sheet.csv").write_bytes(text.encode(encoding))
    return root / "sheet.csv"


def odir(root: Path, rows: list[tuple[object, ...]], images: str = "Training Images") -> Path:
    (root / images).mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    if images == "Training Images":
        frame.to_excel(root / "sheet.xlsx", index=False)
    else:
        frame.to_csv(root / "full_df.csv", index=False)
    return root


def patient(name: int, *labels: int) -> tuple[object, ...]:
    files = f"{name}_left.jpg", f"{name}_right.jpg"
    return (name, "057Y", "Male", *files, "normal fundus", "normal fundus", *(labels or (1, *[0] * 7)))


def test_the_case_and_the_form_of_a_suffix_hide_no_eye(tmp_path: Path) -> None:
    root = odir(tmp_path / "odir", [patient(1)])
    touched(root / "Training Images", "1_left.JPG", "1_right.Jpeg")
    assert Odir5k(root).read().keys == [("1_left.JPG", "1_right.Jpeg")]
    grades = touched(tmp_path / "eyepacs", "1_left.JPEG", "1_right.png", "._1_right.png")
    (grades / "trainLabels.csv").write_text("image,level\n1_left,0\n1_right,NA\n")
    pairs = Eyepacs(grades).read()
    assert pairs.keys == [("1_left.JPEG", "1_right.png")]
    assert pairs.view_targets[0, 1].tolist() == [-1] * 5


def test_a_name_never_finds_a_file_of_another_type(tmp_path: Path) -> None:
    touched(tmp_path, "1_left.png")  # perhaps a mask
    path = sheet(tmp_path, "os,od,dr\n1_left.jpg,1_right.jpg,1\n")
    assert Table(path, **PAIRED).read().keys == [("1_left.jpg", "1_right.jpg")]


def test_two_files_that_go_by_one_name_are_named(tmp_path: Path) -> None:
    touched(tmp_path, "A.jpg", "a.JPEG")
    path = sheet(tmp_path, "os,od,dr\na,b,1\n")
    with pytest.raises(DataError, match=r"one file must go by the name `a`, got A\.jpg, a\.JPEG"):
        Table(path, **PAIRED).read()


@pytest.mark.parametrize(
    ("written", "on_disk"),
    [
        (r"\eyes\1\1_l1.jpg", "eyes/1/1_l1.jpg"),
        (r"eyes\1_l1", "eyes/1_l1.png"),
        (normalize("NFC", "Zoë/é.jpg"), normalize("NFD", "Zoë/é.jpg")),
        ("EYES/1.jpg", "eyes/1.JPG"),
        ("NA.png", "NA.png"),
        ("a\\b.png", "a\\b.png"),
    ],
)
def test_paths_as_other_systems_write_them(tmp_path: Path, written: str, on_disk: str) -> None:
    touched(tmp_path, on_disk, "._1.jpg")
    path = sheet(tmp_path, f"os,od,dr\n{written},NA,1\n")
    assert Table(path, **PAIRED).read().keys == [(on_disk, None)]


def test_a_drive_is_refused_and_a_tilde_is_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sheet(tmp_path, "os,od,dr\nC:\\eyes\\1.jpg,,1\n")
    with pytest.raises(DataError, match="row 2: a path must stay within"):
        Table(path, **PAIRED).read()
    monkeypatch.setenv("HOME", str(touched(tmp_path, "good/1.png")))
    path = sheet(tmp_path, "os,od,dr\n1,,1\n")
    assert Table(path, **PAIRED, image_folder="~/good").read().keys == [("1.png", None)]


def test_words_that_libraries_take_for_nothing_are_words(tmp_path: Path) -> None:
    path = sheet(tmp_path, "image,class,who,age\n1.png,None,NA,\n2.png,NA,null,NA\n3.png,,007,6\n")
    wanted: dict[str, Any] = {"left": "image", "right": None, "kind": "classes", "patient": "who"}
    pairs = Table(path, **wanted, labels=["None", "NA"], label_column="class", age="age").read()
    assert pairs.targets.tolist() == [[1, 0], [0, 1], [-1, -1]]
    assert pairs.table["patient"].tolist() == ["NA", "null", "007"]
    assert pairs.table["age"].fillna(-1).tolist() == [-1, -1, 6]


def test_words_for_nothing_in_excel_and_parquet(tmp_path: Path) -> None:
    frame = pd.DataFrame({"image": ["1.png", "2.png"], "class": ["None", "NA"]})
    frame.to_excel(tmp_path / "s.xlsx", index=False)
    frame.to_parquet(tmp_path / "s.parquet")
    wanted: dict[str, Any] = {"left": "image", "right": None, "kind": "classes"}
    for name in ("s.xlsx", "s.parquet"):
        pairs = Table(tmp_path / name, **wanted, labels=["None", "NA"], label_column="class").read()
        assert pairs.targets.tolist() == [[1, 0], [0, 1]]


def test_label_cells_may_be_words_for_numbers_or_for_nothing(tmp_path: Path) -> None:
    path = sheet(tmp_path, "os,od,dr\n1,2,TRUE\n3,4,0.0\n5,6,NaN\n")
    assert Table(path, **PAIRED).read().targets.tolist() == [[1], [0], [-1]]
    with pytest.raises(DataError, match=r"row 3, column `dr`: a label must be 0 or 1, got 'yes'"):
        Table(sheet(tmp_path, "os,od,dr\n1,2,1\n3,4,yes\n"), **PAIRED).read()


@pytest.mark.parametrize(
    ("cell", "years"), [("057Y", 57.0), ("018M", 1.5), ("57", 57.0), ("57.5", 57.5), ("n/a", None)]
)
def test_ages(tmp_path: Path, cell: str, years: float | None) -> None:
    pairs = Table(sheet(tmp_path, f"os,od,dr,age\n1,2,1,{cell}\n"), **PAIRED, age="age").read()
    assert pairs.table["age"].isna().item() if years is None else pairs.table["age"].item() == years


def test_an_age_that_is_none_is_named(tmp_path: Path) -> None:
    path = sheet(tmp_path, "os,od,dr,age\n1,2,1,57\n3,4,1,old\n")
    with pytest.raises(DataError, match=r"`age` row 3: an age must be a number of years.*got 'old'"):
        Table(path, **PAIRED, age="age").read()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_encodings_and_stray_blanks(tmp_path: Path, separator: str, encoding: str) -> None:
    rows = [
        ["os", " od ", "dr", "note"],
        ["眼/1.png ", "b.png", " 1", "é"],
        ["", "", "", ""],
        ["c", "d", "0", ""],
    ]
    path = sheet(tmp_path, "\r\n".join(map(separator.join, rows)) + "\r\n", encoding)
    pairs = Table(path, **PAIRED).read()
    assert pairs.keys == [("眼/1.png", "b.png"), ("c", "d")]
    assert pairs.table["sample"].tolist() == ["2", "4"]  # as a spreadsheet counts
    assert pairs.targets.tolist() == [[1], [0]]


def test_other_encodings_and_old_workbooks_are_refused_in_one_message(tmp_path: Path) -> None:
    for encoding in ("gbk", "cp1252"):
        text = "os,od,dr\n眼,2,1\n" if encoding == "gbk" else "os,od,dr\né,2,1\n"
        with pytest.raises(
            DataError, match=r"must be UTF-8, got bytes that are not\. Save it as `CSV UTF-8`"
        ):
            Table(sheet(tmp_path, text, encoding), **PAIRED).read()
    for name in ("old.xls", "locked.xlsx"):
        (tmp_path / name).write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
        with pytest.raises(DataError, match=r"Save it as \.xlsx without a password"):
            Table(tmp_path / name, **PAIRED).read()


def test_rows_that_end_in_separators_shift_no_column(tmp_path: Path) -> None:
    assert Table(sheet(tmp_path, "os,od,dr\na,b,1,\nc,d,0,\n"), **PAIRED).read().targets.tolist() == [
        [1],
        [0],
    ]
    with pytest.raises(DataError, match=r"must be a readable \.csv sheet"):
        Table(sheet(tmp_path, "os,od,dr\na,b,1,x\nc,d,0,y\n"), **PAIRED).read()


def test_rows_of_a_patient_that_disagree_are_named(tmp_path: Path) -> None:
    same = [patient(1), patient(1), patient(2)]
    assert len(Odir5k(odir(tmp_path / "same", same, "preprocessed_images")).read()) == 2
    other = [patient(1), patient(2), patient(1, 0, 1, 0, 0, 0, 0, 0, 0)]
    with pytest.raises(
        DataError, match="rows 2 and 4: the rows of patient 1 must agree, got different `N`, `D`"
    ):
        Odir5k(odir(tmp_path / "other", other, "preprocessed_images")).read()


def test_what_macos_and_office_leave_is_not_there(tmp_path: Path) -> None:
    root = odir(tmp_path / "odir", [patient(1)])
    touched(root, "._sheet.xlsx", "~$sheet.xlsx")
    assert len(Odir5k(root).read()) == 1
    touched(root, "second.xlsx")
    with pytest.raises(DataError, match=r"must hold one \.xlsx sheet .*got second\.xlsx, sheet\.xlsx"):
        Odir5k(root).read()
    touched(tmp_path / "f", "a/1.png", "b/2.png", "b/._2.png", "__MACOSX/3.png")
    pairs = Folders(tmp_path / "f").read()
    assert (pairs.labels, pairs.keys, pairs.notes) == (("a", "b"), [("a/1.png",), ("b/2.png",)], ())


def test_a_kind_of_file_that_is_passed_over_is_named(tmp_path: Path) -> None:
    touched(tmp_path, "a/1.png", "b/2.png", "a/3.avi", "b/4.avi", "b/deep/5.png")
    assert Folders(tmp_path).read().notes == (
        "Files beside the images of the classes that are not read: 2 of .avi, 1 of .png.",
    )


def test_eyes_that_are_left_out_or_shown_twice_are_counted(
    tmp_path: Path, make_pairs: Callable[..., Pairs], write_image: Callable[..., Path]
) -> None:
    pairs = make_pairs([[1], [0]], tmp_path)
    pairs.table.loc[0, "left"] = None
    for name in ("s0_right.png", "s1_left.png", "s1_right.png"):
        write_image(tmp_path / name)
    assert single_eyes(pairs).notes == ("1 eyes are left out, which have no image.",)
    cache = ImageCache.build(pairs, Preprocessing(image_px=16), tmp_path / "c", missing_eye="duplicate")
    assert cache.pairs.notes == ("1 samples have one eye, which is shown as both.",)


RAMP = np.linspace(0, 1, 24).reshape(4, 6)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_deep_grey_values_fill_eight_bits(tmp_path: Path, bits: int, suffix: str) -> None:
    deep = (RAMP * (2**bits - 1)).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / f"deep{suffix}")
    np.testing.assert_allclose(
        read_image(tmp_path / f"deep{suffix}")[..., 0], deep / (2**bits - 1) * 255, atol=1
    )


@pytest.mark.parametrize("top", [1, 255, 4095, 65535, 100000])
def test_floating_grey_values_fill_eight_bits(tmp_path: Path, top: int) -> None:
    Image.fromarray((RAMP * top).astype(np.float32)).save(tmp_path / "f.tif")
    np.testing.assert_allclose(read_image(tmp_path / "f.tif")[..., 0], RAMP * 255, atol=1)


def test_grey_values_without_a_meaning_are_refused(tmp_path: Path) -> None:
    for name, values, reason in (
        ("nan", RAMP * np.nan, "not finite"),
        ("minus", RAMP - 0.5, "negative grey"),
    ):
        Image.fromarray(values.astype(np.float32)).save(tmp_path / f"{name}.tif")
        with pytest.raises(BadImageError, match=reason):
            read_image(tmp_path / f"{name}.tif")


def test_colours_of_twelve_bits_in_sixteen_are_refused(tmp_path: Path) -> None:
    for top in (65535, 4095):
        write_deep_colours(
            tmp_path / f"{top}.tif", np.repeat((RAMP * top).astype("<u2")[..., None], 3, axis=2)
        )
    assert read_image(tmp_path / "65535.tif").max() == 255
    with pytest.raises(BadImageError, match="16 bits a channel, of which at most 14 are used"):
        read_image(tmp_path / "4095.tif")


def test_a_tiff_that_cannot_be_read_is_called_one(tmp_path: Path) -> None:
    write_deep_colours(tmp_path / "f.tif", np.zeros((4, 6, 3), dtype="<f4"))
    with pytest.raises(BadImageError, match="a TIFF of a kind that cannot be read; save it as PNG"):
        read_image(tmp_path / "f.tif")


def write_deep_colours(path: Path, pixels: np.ndarray) -> None:
    """A TIFF with one strip of RGB, which Pillow cannot write with more than eight bits."""
    height, width, _ = pixels.shape
    is_float, bits, data_at = pixels.dtype.kind == "f", pixels.itemsize * 8, 8 + 2 + 11 * 12 + 4 + 12
    entries = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, data_at - 12), (259, 3, 1, 1)]
    entries += [(262, 3, 1, 2), (273, 4, 1, data_at), (277, 3, 1, 3), (278, 4, 1, height)]
    entries += [(279, 4, 1, pixels.nbytes), (284, 3, 1, 1), (339, 3, 1, 3 if is_float else 1)]
    parts = [b"II*\0", (8).to_bytes(4, "little"), len(entries).to_bytes(2, "little")]
    for tag, kind, count, value in entries:
        parts += [
            n.to_bytes(size, "little")
            for n, size in zip((tag, kind, count, value), (2, 2, 4, 4), strict=True)
        ]
    parts += [bytes(4), np.full(3, bits, "<u2").tobytes(), bytes(6), pixels.tobytes()]
    path.write_bytes(b"".join(parts))

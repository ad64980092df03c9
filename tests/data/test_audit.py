import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from study.data import similarity_search
from study.data._similarity import (
    MAX_SHIFT_PX,
    MIN_OVERLAP,
    Detail,
    _correlation,
    registered_correlation,
    similar_pairs,
    visible_share,
    whiten,
)
from study.data.audit import divided_groups, duplicate_groups, duplicates, poor_frames
from study.data.cache import THUMBNAIL, ImageCache
from study.data.cohort import open_cohort
from study.data.datasets.phantom import Phantom
from study.data.images import ImageFolder
from study.data.pairs import Pairs, pairs_table
from study.data.preprocessing import Preprocessing
from study.data.similarity_search import open_similarity
from study.data.split import make_split
from study.spec.components import Component
from study.spec.data_section import DataSpec, SplitSpec
from study.spec.errors import StorageError

DRAWN = Phantom(None, variant="grades", num_patients=24, size_px=128).read()
NUM = 30  # 24 drawn patients, then the copies below


def drawn(patient: int, eye: str) -> Image.Image:
    return Image.fromarray(DRAWN.load(f"phantom/grades/{patient}/{eye}"))


def compressed(image: Image.Image) -> Image.Image:
    """The image scaled, and compressed once more."""
    file = io.BytesIO()
    image.resize((300, 300), Image.Resampling.BICUBIC).save(file, "JPEG", quality=75)
    return Image.open(file)


def photographed_again(image: Image.Image) -> Image.Image:
    """The eye looks a little elsewhere, the head is tilted, the flash is weaker and the film coarser."""
    turned = np.asarray(image.rotate(3, Image.Resampling.BICUBIC, translate=(6, -4)))
    noise = np.random.default_rng(0).normal(0, 8, turned.shape) * (turned > 20)
    return Image.fromarray((turned * 0.85 + noise).clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 patients, and six more.

    24 has the files of 0, 25 those of 1 compressed, 26 the eyes of 2 photographed again, 27 those of 3
    exchanged; 28 has one image twice, and 29 shows no eye.
    """
    root = tmp_path_factory.mktemp("eyes")
    eyes = ("left", "right")
    for patient in range(24):
        for eye in eyes:
            drawn(patient, eye).save(root / f"{patient}_{eye}.png")
    for eye, other in zip(eyes, reversed(eyes), strict=True):
        (root / f"24_{eye}.png").write_bytes((root / f"0_{eye}.png").read_bytes())
        compressed(drawn(1, eye)).save(root / f"25_{eye}.png")
        photographed_again(drawn(2, eye)).save(root / f"26_{eye}.png")
        compressed(drawn(3, other)).save(root / f"27_{eye}.png")
    more = Phantom(None, variant="grades", num_patients=25, size_px=128).read()
    spare = Image.fromarray(more.load("phantom/grades/24/left"))
    spare.save(root / "28_left.png")
    compressed(spare).save(root / "28_right.png")
    Image.new("RGB", (128, 128), (4, 4, 4)).save(root / "29_left.png")
    Image.new("RGB", (128, 128), (255, 255, 255)).save(root / "29_right.png")
    return root


@pytest.fixture(scope="module")
def eyes(folder: Path) -> Pairs:
    names = [str(i) for i in range(NUM)]
    targets = np.eye(3, dtype=np.int8)[np.arange(NUM) % 3]
    return replace(
        DRAWN,
        dataset="made",
        labels=("a", "b", "c"),
        kind="multilabel",
        table=pairs_table(names, names, [f"{i}_left.png" for i in names], [f"{i}_right.png" for i in names]),
        targets=targets,
        view_targets=np.repeat(targets[:, None], 2, axis=1),
        synthetic=False,
        root=str(folder),
        fingerprint="eyes",
        load=ImageFolder(str(folder)),
    )


@pytest.fixture(scope="module")
def cache(eyes: Pairs, tmp_path_factory: pytest.TempPathFactory) -> ImageCache:
    return ImageCache.build(eyes, Preprocessing(image_px=32), tmp_path_factory.mktemp("cache"))


def test_patients_entered_twice_are_found_with_their_evidence(cache: ImageCache) -> None:
    found = duplicates(cache).set_index(["patient_a", "patient_b"])
    sure = found[found["evidence"] != "perhaps"]
    assert set(sure.index) == {("0", "24"), ("1", "25"), ("2", "26"), ("3", "27"), ("28", "28")}
    assert found.loc[("0", "24"), "evidence"] == "same file"
    assert found.loc[("0", "24"), "distance"] == pytest.approx(0, abs=1e-5)
    assert found.loc[("2", "26"), "evidence"] == "same eye"
    assert found.loc[("28", "28"), "evidence"] == "same photograph"
    assert set(str(found.loc[("3", "27"), "eyes"]).split(", ")) == {"left=right", "right=left"}
    assert set(str(found.loc[("1", "25"), "eyes"]).split(", ")) == {"left=left", "right=right"}
    assert found.loc[sure.index[:-1], "same_labels"].all()  # 24 more has the same remainder by 3


def test_groups_join_duplicates_and_nobody_else(cache: ImageCache) -> None:
    groups = duplicate_groups(cache)
    samples = {frozenset(np.flatnonzero(groups == group).tolist()) for group in groups}
    assert {frozenset({i, 24 + i}) for i in range(4)} == {group for group in samples if len(group) > 1}


def test_samples_of_a_patient_are_one_group_even_if_unlike(cache: ImageCache) -> None:
    patients = cache.pairs.table["patient"].tolist()
    patients[0] = patients[9] = "p"
    table = cache.pairs.table.assign(patient=patients)
    groups = duplicate_groups(replace(cache, pairs=replace(cache.pairs, table=table)))
    assert groups[0] == groups[9] == groups[24]


def test_one_file_named_for_two_patients_joins_them_but_a_black_frame_does_not(
    eyes: Pairs, tmp_path: Path
) -> None:
    left = eyes.table["left"].tolist()
    left[10], left[11], left[12] = left[9], "29_left.png", "29_left.png"
    shared = replace(eyes, table=eyes.table.assign(left=left), fingerprint="shared")
    cache = ImageCache.build(shared, THUMBNAIL, tmp_path)
    groups = duplicate_groups(cache)
    assert groups[9] == groups[10]
    assert len({groups[11], groups[12], groups[29]}) == 3
    found = duplicates(cache).set_index(["patient_a", "patient_b"])
    assert found.loc[("9", "10"), "evidence"] == "same file"


def test_a_search_is_done_once_for_all_image_settings(
    cache: ImageCache, eyes: Pairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_similarity(cache)
    monkeypatch.setattr(similarity_search, "_search", lambda cache: pytest.fail("searched again"))
    other = ImageCache.build(eyes, Preprocessing(image_px=16, crop="none"), cache.folder.parent)
    again = open_similarity(other)
    assert np.array_equal(first.rows, again.rows)
    assert np.array_equal(first.elsewhere, again.elsewhere, equal_nan=True)
    assert np.array_equal(duplicate_groups(other), duplicate_groups(cache))


def test_an_unwritable_place_is_named(cache: ImageCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    found = open_similarity(cache)
    monkeypatch.setattr(similarity_search, "_search", lambda cache: found)
    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(
        StorageError, match="findings of the audit must be writable there, got: No space left"
    ):
        open_similarity(replace(cache, source="another"))


def test_frames_without_an_eye_are_named(cache: ImageCache) -> None:
    poor = poor_frames(cache).set_index("image")["what"]
    assert poor.loc["29_left.png"] == "nearly black or burnt out"
    assert poor.loc["29_right.png"] == "nearly black or burnt out"
    assert not [image for image in poor.index if not image.startswith("29")]


def test_a_split_that_divides_duplicates_is_found(cache: ImageCache) -> None:
    def divided(samples: list[str], splits: list[str]) -> pd.DataFrame:
        return divided_groups(cache, pd.DataFrame({"sample": samples, "split": splits}))

    found = divided(cache.pairs.table["sample"].tolist(), ["train"] * 24 + ["test"] * 6)
    assert found["patients"].tolist() == ["0, 24", "1, 25", "2, 26", "3, 27"]
    assert set(found["splits"]) == {"train, test"}
    assert divided(["nobody"], ["val"]).empty
    assert divided(["0", "24", "9"], ["val", "val", "test"]).empty


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("folds", [1, 3])
def test_a_split_keeps_groups_together(cache: ImageCache, seed: int, folds: int) -> None:
    groups = duplicate_groups(cache)
    frame = make_split(cache.pairs, val=0.2, test=0.2, seed=seed, folds=folds, groups=groups)
    assert (frame.groupby(groups)["split"].nunique() == 1).all()
    assert frame["sample"].tolist() == cache.pairs.table["sample"].tolist()
    if folds > 1:
        assert (frame.groupby(groups)["fold"].nunique() == 1).all()


def test_a_cohort_groups_duplicates_unless_told_not_to(folder: Path, tmp_path: Path) -> None:
    rows = [(i, f"{i}_left.png", f"{i}_right.png", i % 2) for i in range(NUM)]
    pd.DataFrame(rows, columns=["patient", "left", "right", "sick"]).to_csv(folder / "eyes.csv", index=False)
    dataset = Component(name="table", args={"labels": ["sick"]})

    def num_divided(seed: int, *, group: bool) -> int:
        split = SplitSpec(val=0.3, test=0.3, seed=seed, group_duplicates=group)
        data = DataSpec(dataset=dataset, root=str(folder / "eyes.csv"), image_px=16, split=split)
        cohort = open_cohort(data, tmp_path)
        return len(divided_groups(cohort.cache, cohort.assignment))

    assert SplitSpec().group_duplicates
    assert [num_divided(seed, group=True) for seed in range(4)] == [0, 0, 0, 0]
    assert sum(num_divided(seed, group=False) for seed in range(4)) > 0


def test_drawn_images_have_no_duplicates(cache: ImageCache) -> None:
    drawn_cache = replace(cache, pairs=replace(cache.pairs, synthetic=True))
    assert duplicate_groups(drawn_cache).tolist() == list(range(NUM))


def test_correlation_is_the_greatest_over_shifts_computed_slowly() -> None:
    thumbs = np.stack([THUMBNAIL(np.asarray(image)) for image in (drawn(5, "left"), drawn(6, "left"))])
    detail = Detail.of(thumbs)
    (a, b), (in_a, in_b) = detail.values.astype(float), detail.field.astype(float)
    best, disc = 0.0, np.hypot(*(np.mgrid[:64, :64] - 31.5)) < 0.48 * 64
    for y in range(-MAX_SHIFT_PX, MAX_SHIFT_PX + 1):
        for x in range(-MAX_SHIFT_PX, MAX_SHIFT_PX + 1):
            at_a = slice(max(0, y), 64 + min(0, y)), slice(max(0, x), 64 + min(0, x))
            at_b = slice(max(0, -y), 64 - max(0, y)), slice(max(0, -x), 64 - max(0, x))
            if (in_a[at_a] * in_b[at_b]).sum() > MIN_OVERLAP * disc.sum():
                p, q = a[at_a], b[at_b]
                energy = (p**2 * in_b[at_b]).sum() * (in_a[at_a] * q**2).sum()
                best = max(best, (p * q).sum() / np.sqrt(energy))
    got = _correlation(detail.rows(np.array([0])), detail.rows(np.array([1])))
    assert got[0] == pytest.approx(best, rel=1e-4)


def test_a_shifted_and_turned_eye_is_recognised_and_a_stranger_is_not() -> None:
    image = drawn(7, "right")
    moved = image.rotate(-6, Image.Resampling.BICUBIC, translate=(10, 6))
    thumbs = np.stack([THUMBNAIL(np.asarray(i)) for i in (image, moved, drawn(8, "right"))])
    same, other = registered_correlation(thumbs, np.array([[0, 1], [0, 2]]))
    assert same > 0.8 > 0.6 > other


def test_how_much_of_an_eye_is_visible() -> None:
    frames = np.zeros((4, 64, 64, 3), dtype=np.uint8)
    frames[1] = 120
    frames[2] = 255
    frames[3, :, :32] = 120
    assert visible_share(frames) == pytest.approx([0, 1, 0, 0.5], abs=0.01)
    assert np.abs(Detail.of(frames[:1]).values).max() == 0


def test_whitening_keeps_copies_alike_in_small_sets_and_parts_strangers() -> None:
    rng = np.random.default_rng(0)
    common = rng.normal(size=50)
    vectors = (rng.normal(size=(12, 50)) + 3 * common).astype(np.float32)
    vectors[11] = vectors[0] + 0.05 * rng.normal(size=50).astype(np.float32)
    whitened = whiten(vectors)
    assert np.linalg.norm(whitened, axis=1) == pytest.approx(np.ones(12), abs=1e-5)
    assert similar_pairs(whitened, 0.5).tolist() == [[0, 11]]
    assert whitened[0] @ whitened[11] > 0.9

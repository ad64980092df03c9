"""The figures of the data: how many samples an epoch draws of each label, and example eyes."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from study.data.class_balance import balanced_order
from study.data.cutmix import CutMix, Partners
from study.evidence.run_tables import write_run_table
from study.reporting.figure import draw
from study.reporting.figures.enlargement import Enlargement
from study.reporting.figures.examples import Examples
from study.reporting.run import Run, load_run
from tests.reporting.fake_run import ODIR, FakeRun

NUM = 60
EPOCHS = 400


def settings(
    kind: str = "none", sampling: str = "shuffle", generated: dict[str, Any] | None = None
) -> dict[str, Any]:
    cutmix = {"kind": kind, "probability": 0.4, "box": "shared"}
    return {
        "data": {"augmentation": {"cutmix": cutmix}, "generated": generated},
        "training": {"sampling": sampling},
    }


def run_of(folder: Path, *specs: dict[str, Any], **options: Any) -> Run:
    """A run whose chosen trial, and after it the first variants of an ablation, have these settings."""
    fake = FakeRun(folder, patients=NUM, **options)
    counts = dict.fromkeys(fake.labels, 10)
    fake.study(generated=json.dumps([{"share": 0.5, "counts": counts, "generator": "dcgan", "epochs": 1}]))
    for place, spec in enumerate(specs):
        key = f"ablation-sizes-v{place}-s0" if place else "search-00000"
        role: dict[str, str] = {"role": "ablation", "table": "sizes", "variant": f"v{place}"} if place else {}
        fake.trial(key, fake.predictions(key, 1.0), spec=json.dumps(spec), **role)
    facts = dict.fromkeys(("age", "sex", "findings"))
    rows = [
        {"sample": f"s{i}", "patient": f"p{i}", "split": "train", "target": row, "synthetic": False, **facts}
        for i, row in enumerate(fake.truth["train"].tolist())
    ]
    write_run_table(fake.store, "samples", [*rows, {**rows[0], "sample": "other", "split": "test"}])
    return load_run(str(folder))


@pytest.mark.parametrize("kind", ["same_label", "standard"])
def test_cutmix_mixes_the_share_of_samples_that_a_training_mixes(tmp_path: Path, kind: Any) -> None:
    run = run_of(tmp_path / "r", settings(kind))
    found = Enlargement().data(run)
    assert found is not None
    (panel,) = found.panels
    target = FakeRun(tmp_path / "same", patients=NUM).truth["train"]
    cutmix, rows = CutMix(kind, 0.4), np.arange(NUM)
    partners, generator = Partners(rows, cutmix.groups(target)), torch.Generator().manual_seed(0)
    mixed = np.zeros(NUM)
    for _ in range(EPOCHS):
        mixed[partners.draw(rows, 0.4, generator)[0]] += 1 / EPOCHS
    np.testing.assert_array_equal(panel.before, target.sum(axis=0))
    np.testing.assert_allclose(panel.whole + panel.mixed, panel.before)
    spread = np.sqrt(panel.before * 0.4 * 0.6 / EPOCHS)
    np.testing.assert_array_less(np.abs(panel.mixed - mixed @ target), 5 * spread + 1e-9)
    said = float(panel.words[0].rpartition("about ")[2].split()[0])
    assert said == pytest.approx(5 * mixed.sum(), rel=0.05)  # of five epochs


def test_balanced_batches_draw_each_class_alike(tmp_path: Path) -> None:
    run = run_of(tmp_path / "r", settings(sampling="class_balanced"), kind="grades")
    found = Enlargement().data(run)
    assert found is not None
    target = FakeRun(tmp_path / "same", patients=NUM, kind="grades").truth["train"]
    drawn = np.zeros(5)
    for epoch in range(EPOCHS):
        order = balanced_order(target.argmax(axis=1), [16, 16, 16, 12], np.random.default_rng(epoch))
        drawn += target[order].sum(axis=0) / EPOCHS
    np.testing.assert_allclose(found.panels[0].whole, drawn, atol=0.3)
    np.testing.assert_array_equal(found.panels[0].before, target.sum(axis=0))


def test_generated_images_stand_beside_the_photographs(tmp_path: Path) -> None:
    run = run_of(tmp_path / "r", settings("same_label", generated={"share": 0.5}), kind="classes")
    found = Enlargement().data(run)
    assert found is not None
    (panel,) = found.panels
    assert panel.generated.tolist() == [10, 10]
    np.testing.assert_allclose(panel.whole + panel.mixed, panel.before)
    assert len(panel.words) == 2


def test_a_variant_with_other_settings_has_a_panel_of_its_own(tmp_path: Path) -> None:
    same = settings("same_label")
    for name, specs, panels in (
        ("two", (same, settings("standard")), 2),
        ("equal", (same, same), 1),
        ("variant", (settings(), same), 1),
    ):
        found = Enlargement().data(run_of(tmp_path / name, *specs))
        assert found is not None
        assert len(found.panels) == panels, name
    drawing = draw("enlargement", load_run(str(tmp_path / "two")))
    assert drawing is not None
    assert "any labels, which are mixed by area," in drawing.caption
    assert "photographs with CutMix" in drawing.svg


def test_without_enlargement_or_facts_there_is_no_figure(tmp_path: Path, run: Run) -> None:
    assert Enlargement().data(run_of(tmp_path / "r", settings())) is None
    assert Enlargement().data(run) is None
    assert Examples().data(run) is None


def jpeg(level: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((20, 20, 3), level, np.uint8)).save(out, "JPEG")
    return out.getvalue()


def examples(run: Run, labels: tuple[str, ...], num_views: int = 2) -> None:
    """Pictures whose grey says the label and the stage."""
    stages = (("raw", ""), ("illumination", "graham"), ("cutmix", "same_label"))
    rows = [
        {
            "label": label,
            "sample": "s",
            "stage": stage,
            "setting": setting,
            "partner": None,
            "images": [jpeg(10 * place + 80 * number)] * num_views,
            "synthetic": False,
        }
        for place, label in enumerate(labels)
        for number, (stage, setting) in enumerate(stages)
        if label != "O" or stage != "cutmix"
    ]
    write_run_table(run.store, "examples", rows)


def test_example_eyes_stand_in_blocks_of_four_labels(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path / "r", patients=20)
    fake.study(label_names=[f"name of {label}" for label in ODIR])
    fake.trial("search-00000", fake.predictions("search-00000", 1.0))
    run = load_run(str(tmp_path / "r"))
    examples(run, ODIR)
    found = Examples().data(run)
    assert found is not None
    assert found.stages == [("raw", ""), ("illumination", "graham"), ("cutmix", "same_label")]
    assert {key: photos[0].mean().round(-1) for key, photos in found.photos.items()} == {
        (place, number): 10 * place + 80 * number
        for place in range(8)
        for number in range(3)
        if (place, number) != (7, 2)
    }
    drawing = draw("examples", run)
    assert drawing is not None
    assert drawing.svg.count("data:image/jpeg") == 2 * (3 * 8 - 1)
    assert all(f"name of {label}" in drawing.svg for label in ODIR)
    assert "with the same labels" in drawing.caption
    examples(run, ODIR[:3], num_views=1)
    drawing = draw("examples", run)
    assert drawing is not None
    assert "3 of 8 labels are shown." in drawing.caption

"""What a reader is told of a study's pretrained weights, from the study file to the report."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from rich.console import Console

from models.backbones import build_backbone
from models.backbones._info import FOUNDATIONS, BackboneInfo, Foundation
from study.engine.start.announcement import announcement
from study.engine.start.cautions import cautions
from study.engine.start.start import open_store, start
from study.reporting.run import load_run
from study.reporting.summary import summary
from study.reporting.tables.provenance import Provenance
from study.spec.resolve import resolve
from study.spec.trial_spec import TrialSpec

SPACES = Path(__file__).parents[3] / "search_spaces"
SEEN = "Pretrained on images of"
BETTER = "so that results on it look better than on new images"
BOUND = "forbids commercial use"


def trial(name: str, weights: str, dataset: str = "odir5k") -> TrialSpec:
    return TrialSpec.read(
        {"data": {"dataset": dataset}, "model": {"backbone": {"name": name, "weights": weights}}}
    )


@pytest.mark.parametrize(
    ("name", "dataset", "seen", "bound"),
    [
        ("retfound_mae", "odir5k", False, True),
        ("retfound_mae", "eyepacs", True, True),
        ("retfound_dinov2", "eyepacs", False, True),
        ("retfound_green", "odir5k", True, True),
        ("visionfm", "odir5k", False, True),
        ("flair", "odir5k", True, False),
        ("flair", "folders", False, False),
        ("urfound", "eyepacs", True, False),
    ],
)
def test_foundation_models_from_a_local_file(name: str, dataset: str, seen: bool, bound: bool) -> None:
    lines = cautions([trial(name, "/weights/model.pth")], dataset)
    assert [SEEN in line and name in line and dataset in line for line in lines].count(True) == seen
    assert [BOUND in line and name in line for line in lines].count(True) == bound
    assert len(lines) == seen + bound
    assert cautions([trial(name, "none")], dataset) == []


def test_one_line_names_all_backbones_of_the_study() -> None:
    trials = [
        trial("flair", "/a.bin"),
        trial("urfound", "/b.pth"),
        trial("flair", "/a.bin"),
        trial("resnet18", "imagenet"),
        trial("tiny", "none"),
    ]
    (line,) = cautions(trials, "odir5k")
    names = "flair (trained with labels as text), urfound (licence of the code)"
    assert line == f"{SEEN} odir5k, {BETTER}: {names}."


def test_drawn_images_were_seen_by_none() -> None:
    assert cautions([trial("flair", "/a.bin"), trial("resnet18", "/own.pth")], None) == []


def test_of_a_file_under_a_plain_name_nothing_is_known() -> None:
    (line,) = cautions([trial("resnet18", "/own.pth")], "odir5k")
    assert "not known whether they have seen odir5k: resnet18 (/own.pth)" in line
    given = trial("resnet18", "imagenet").model_copy(update={"weights": {"resnet18": Path("/copy.pth")}})
    assert cautions([given], "odir5k") == []


@pytest.mark.parametrize(
    "name", ["resnext101_32x8d.fb_swsl_ig1b_ft_in1k", "timm/convnextv2_atto.fcmae_ft_in1k"]
)
def test_weights_of_timm_under_a_non_commercial_licence(name: str) -> None:
    (line,) = cautions([trial(name, "imagenet")], "odir5k")
    assert f"{BOUND}: {name} (cc-by-nc-4.0)" in line


@pytest.mark.parametrize("path", sorted(SPACES.glob("*.yaml")), ids=lambda p: p.stem)
def test_no_study_file_takes_non_commercial_or_contaminated_weights_by_default(path: Path) -> None:
    for profile in ("full", *(yaml.safe_load(path.read_text()).get("profiles") or {})):
        spec = resolve(path, {}, profile, has_gpu=False).spec
        for dataset in ("odir5k", "eyepacs"):
            assert cautions(spec.trials_to_check(), dataset) == []


def grey_images(folder: Path) -> Path:
    for label, level in (("opacity", 40), ("detachment", 160)):
        (folder / label).mkdir(parents=True)
        for n in range(12):
            Image.fromarray(np.full((40, 40, 3), level + 3 * n, dtype=np.uint8)).save(
                folder / label / f"{label}-{n}.png"
            )
    return folder


def ignore(done: int, total: int) -> None:
    """Takes a progress and shows nothing."""


def tiny_file(path: Path) -> Path:
    net = build_backbone("tiny", image_px=32)
    torch.save({name.removeprefix("net."): tensor for name, tensor in net.state_dict().items()}, path)
    return path


def test_console_records_and_report_say_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = BackboneInfo(
        licence="CC-BY-NC-4.0", gated=True, pretrained_on=("folders",), file="model.pth of its authors"
    )
    monkeypatch.setitem(FOUNDATIONS, "flair", Foundation("tiny", info))
    weights = tiny_file(tmp_path / "model.pth")
    images = str(grey_images(tmp_path / "images"))
    study: dict[str, Any] = {
        "study": "small",
        "storage": str(tmp_path / "runs"),
        "loss": "cross_entropy",
        "data": {"dataset": "folders", "root": images, "image_px": 32, "crop": "none"},
        "model": {"backbone": {"name": "flair", "weights": str(weights)}, "head": "softmax"},
    }
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(study))
    resolved = resolve(tmp_path / "small.yaml", {}, "full", has_gpu=False)
    ready = start(resolved, open_store(resolved), "{}", tmp_path / "cache", ignore, ignore)
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(announcement(resolved, ready))
    said = console.export_text()
    bound = f"Pretrained weights whose licence is unknown or {BOUND}: flair (CC-BY-NC-4.0)."
    seen = f"{SEEN} folders, {BETTER}: flair."
    cautioned = [line for line in said.splitlines() if line.startswith("caution")]
    assert [line.removeprefix("caution").strip() for line in cautioned] == [bound, seen]
    run = load_run(ready.store.where)
    assert run.study["cautions"] == [bound, seen]
    assert {bound, seen} <= set(summary(run))
    table = Provenance().build(run)
    assert table is not None
    (row,) = (row for row in table.rows if row.key == "pretraining")
    assert bound in str(row.cells[1])

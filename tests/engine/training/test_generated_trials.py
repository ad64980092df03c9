"""Generated samples are made before the trials and stand in the training split alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from models.generators.dcgan import Dcgan
from study.engine.orders.messages import Ending
from study.engine.start import preparing
from study.engine.start.start import Started, open_store, start
from study.engine.training.session import TrainingSession
from study.engine.training.trial import run_order
from study.evidence.store import Store
from study.spec.errors import SpecError
from study.spec.resolve import resolve
from study.spec.trial_spec import TrialSpec
from tests.engine.one_trial import order_of

CPU = torch.device("cpu")
SMALL = {"generator": {"name": "dcgan", "latent": 2, "width": 1}, "epochs": 1}
SPEC: dict[str, Any] = {
    "data": {
        "dataset": {"name": "phantom", "variant": "ultrasound", "num_patients": 30},
        "image_px": 16,
        "crop": "none",
    },
    "model": {"backbone": "tiny", "embedding": {"dim": 8, "l2norm": True}, "head": "softmax"},
    "loss": {"name": "contrastive", "margin": 1.0},
    "training": {"epochs": 1, "batch_size": 16, "warmup_epochs": 0},
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return tmp_path_factory.mktemp("cache")


def study(folder: Path, cache: Path, generated: Any, **changes: Any) -> Started:
    file = folder / "study.yaml"
    content = {
        "study": "g",
        "storage": str(folder),
        **SPEC,
        "data": {**SPEC["data"], "generated": generated},
        **changes,
    }
    file.write_text(json.dumps(content))
    resolved = resolve(file, {}, "full", has_gpu=False)
    return start(resolved, open_store(resolved), "{}", cache, lambda *_: None, lambda *_: None)


def run(ready: Started, generated: Any, cache: Path) -> dict[str, pd.DataFrame]:
    spec = TrialSpec.read({**SPEC, "data": {**SPEC["data"], "generated": generated}})
    end = run_order(order_of(spec), ready.site, lambda epoch: False, CPU)
    assert end.ending is Ending.COMPLETE, end
    store = Store(ready.store.where)
    return {
        name: store.read(name, filters={"trial": "search-00000"})
        for name in ("embeddings", "predictions", "neighbours")
    }


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_generated_samples_train_and_are_neighbours_and_nothing_else(
    tmp_path: Path, cache: Path, share: float
) -> None:
    generated = {**SMALL, "share": share}
    ready = study(tmp_path, cache, generated)
    tables = run(ready, generated, cache)
    real = pd.read_csv(tmp_path / "g" / "split.csv", dtype=str)
    embedded = tables["embeddings"]
    made = embedded["sample"].str.startswith("generated-")
    assert set(embedded["split"][made]) == {"train"}
    for split in ("val", "test"):
        assert (
            embedded["sample"][embedded["split"] == split].tolist()
            == real["sample"][real["split"] == split].tolist()
        )
    training = real["sample"][real["split"] == "train"].tolist()
    assert embedded["sample"][(embedded["split"] == "train") & ~made].tolist() == (
        [] if share == 1 else training
    )
    assert made.sum() == len(training)
    assert not tables["predictions"]["sample"].str.startswith("generated-").any()
    neighbours = np.concatenate(tables["neighbours"]["neighbour"].tolist())
    assert np.char.startswith(neighbours.astype(str), "generated-").all() == (share == 1)
    assert set(neighbours) <= set(embedded["sample"][embedded["split"] == "train"])


def test_what_is_said_of_the_split_counts_real_samples_only(tmp_path: Path, cache: Path) -> None:
    with_made = study(tmp_path, cache, SMALL)
    (tmp_path / "plain").mkdir()
    plain = study(tmp_path / "plain", cache, None)
    assert with_made.site.split_hash == plain.site.split_hash
    assert with_made.site.data_fingerprint == plain.site.data_fingerprint
    rows = [s.store.read_study() for s in (with_made, plain)]
    assert rows[0]["split_counts"] == rows[1]["split_counts"]
    assert (tmp_path / "g" / "split.csv").read_bytes() == (
        tmp_path / "plain" / "g" / "split.csv"
    ).read_bytes()
    noted = json.loads(rows[0]["generated"])
    counts = json.loads(rows[0]["split_counts"])["train"]
    assert [made["counts"] for made in noted] == [{label: counts[label] for label in rows[0]["labels"]}]
    assert noted[0]["generator"] == "dcgan(latent=2, width=1)"
    assert Path(noted[0]["sheet"]).is_file()
    assert rows[1]["generated"] == "[]"


def test_every_variant_is_made_before_the_trials(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = {"type": "categorical", "choices": [0.25, 0.5]}
    other = {**SMALL, "seed": 1}
    hole = {"type": "categorical", "choices": [None, {**SMALL, "share": share}]}
    ablations = {"d3": {"variants": {"whole": {"data.generated": other}, "none": {"data.generated": None}}}}
    pixels = {"type": "categorical", "choices": [16, 32]}
    data = {**SPEC["data"], "image_px": pixels, "generated": hole}
    ready = study(
        tmp_path, cache, None, data=data, ablations=ablations, search={"trials": 4, "sampler": "random"}
    )
    assert [(made.image_px, made.share, made.seed) for made in ready.prepared.generated] == [
        (px, *rest) for px in (16, 32) for rest in ((0.25, 0), (0.5, 0), (1.0, 1))
    ]
    monkeypatch.setattr(Dcgan, "train_on", lambda *_, **__: pytest.fail("trained during a trial"))
    for px in (16, 32):
        for generated in (
            None,
            {**SMALL, "share": 0.25},
            {**SMALL, "share": 0.5},
            {**SMALL, "share": 0.4},
            other,
        ):
            spec = TrialSpec.read({**SPEC, "data": {**SPEC["data"], "image_px": px, "generated": generated}})
            made = TrainingSession.from_spec(spec, cache, CPU).cohort.images_of("train").generated.mean()
            assert made == pytest.approx(generated.get("share", 1) if generated else 0, abs=0.02)


def test_a_node_without_the_images_makes_them(tmp_path: Path, cache: Path) -> None:
    ready = study(tmp_path, cache, SMALL)
    spec = TrialSpec.read({**SPEC, "data": {**SPEC["data"], "generated": SMALL}})
    here, there = (
        TrainingSession.from_spec(spec, folder, CPU).cohort.images_of("train").images.images
        for folder in (cache, tmp_path / "node")
    )
    assert np.array_equal(here, there)
    assert ready.prepared.cohort.training is None  # what the study says of its data is of the real ones


def test_the_prevalence_of_the_loss_is_that_of_the_generated_samples(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares: list[int] = []

    def build(spec: TrialSpec, net: torch.nn.Module, known: torch.Tensor) -> torch.nn.Module:
        shares.append(len(known))
        return torch.nn.Identity()

    monkeypatch.setattr("study.engine.training.session.build_criterion", build)
    for share in (1.0, 0.5):
        spec = TrialSpec.read({**SPEC, "data": {**SPEC["data"], "generated": {**SMALL, "share": share}}})
        real = TrainingSession.from_spec(spec, cache, CPU).cohort.rows("train")
        assert shares.pop() == len(real) * (1 if share == 1 else 2)


def test_pairs_are_refused_before_any_generator_is_trained(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "with_generated_images", lambda *_: pytest.fail("made images"))
    data = {
        "dataset": {"name": "phantom", "variant": "grades", "num_patients": 60},
        "image_px": 16,
        "generated": SMALL,
    }
    with pytest.raises(SpecError, match="must be null where a sample is a pair of eyes"):
        study(tmp_path, cache, None, data=data)

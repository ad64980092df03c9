"""`study.heatmaps` as a user runs it, on trials that were really trained."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from study import heatmaps, report
from study.engine.applying import heatmap_run as engine
from study.evidence.heatmap_tables import ATTENTION, GRAD_CAM, HeatMaps, read_heatmaps
from study.evidence.predictions import predictions_of
from study.evidence.records import Role
from study.evidence.score import tuned_thresholds
from study.evidence.store import WEIGHTS, Store
from study.spec.trial_spec import TrialSpec
from tests.engine.one_trial import order_of, train_whole
from tests.reporting.fake_run import FakeRun

SPEC: dict[str, Any] = {
    "data": {"dataset": "odir5k", "phantom_patients": 120, "image_px": 48},
    "model": {"backbone": "tiny", "attention": "cbam", "fusion": "gated"},
    "training": {"epochs": 1, "batch_size": 16, "warmup_epochs": 0},
    "optimiser": {"lr": 3e-3},
}
SINGLE = {
    "data": {**SPEC["data"], "dataset": "folders"},
    "model": {"backbone": "tiny", "head": "softmax", "fusion": "max"},
    "loss": "cross_entropy",
}
OSIM = {"model": {"backbone": "tiny", "context": "osim", "fusion": "casfm"}}
METRIC = {
    "loss": {"name": "contrastive", "margin": 1.0},
    "model": {"backbone": "tiny", "embedding": {"dim": 8}},
}
ALIGNED = {"data": {**SPEC["data"], "align": "flip_right"}}


def train(run: Path, *orders: tuple[str, dict[str, Any], dict[str, str]]) -> Path:
    """Trains one short trial for each key, settings and columns, as the engine does."""
    torch.set_num_threads(1)
    cache = run.parent / "cache"
    for key, changes, columns in orders:
        role = Role(key.partition("-")[0])
        order = order_of(TrialSpec.read({**SPEC, **changes}), key, role, **columns)
        train_whole(order, run, cache)
    return run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    before = torch.get_num_threads()
    run = tmp_path_factory.mktemp("heat") / "pairs"
    FakeRun(run, patients=20, synthetic=True).study()
    osim = {"table": "contexts", "variant": "osim"}
    yield train(
        run, ("search-00000", {}, {}), ("ablation-contexts-osim-s0", OSIM, osim), ("search-00001", METRIC, {})
    )
    torch.set_num_threads(before)


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "pairs"))


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than all the rest."""
    monkeypatch.setattr(heatmaps, "FIGURES", ())


def stored(run: Path) -> HeatMaps:
    found = read_heatmaps(Store(run))
    assert found is not None
    return found


def require_stored_scores(run: Path, key: str, head: str, samples: pd.DataFrame) -> None:
    """The scores that are shown are those that the trial's head gave, decided at its own thresholds."""
    table = Store(run).read_table("predictions", [key], filters={"head": head})
    val, test = sorted(predictions_of(table), key=lambda part: part.split, reverse=True)
    scores = dict(zip(test.sample, test.score, strict=True))
    thresholds = tuned_thresholds(val, "f1")
    for sample, score, decided in samples[["sample", "score", "decided"]].itertuples(index=False):
        assert np.array_equal(score, scores[sample])
        assert np.array_equal(decided, scores[sample] > thresholds)


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert heatmaps.main(arguments) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert said.startswith("error `")
    return said


@pytest.mark.slow
def test_maps_checks_and_figures_are_left_and_the_page_takes_them(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        heatmaps.main([str(run), "--trial", "search-00000", "ablation-contexts-osim-s0", "--random", "4"])
        == 0
    )
    said = capsys.readouterr().out
    assert "SYNTHETIC" in said
    assert "rank correlation" in said
    found = stored(run)
    assert found.trials == ["search-00000", "ablation-contexts-osim-s0"]
    assert len(found.cases) == 4
    assert found.names("search-00000", GRAD_CAM) == list("NDGCAHMO")
    assert found.names("search-00000", ATTENTION) == ["attention: spatial gate"]
    assert set(found.names("ablation-contexts-osim-s0", ATTENTION)) == {"context: scale gate"}
    maps = found.of("search-00000", found.cases[0], GRAD_CAM, "D")
    assert [m.shape for m in maps.values()] == [(3, 3), (3, 3)]
    assert all((m >= 0).all() for m in maps.values())
    steps = found.checks[found.checks["trial"] == "search-00000"]["step"].tolist()
    assert steps[:3] == ["head", "fusion", "attention"]
    assert steps[-1] == "backbone 1/4"
    assert found.checks["rank_correlation"].iloc[len(steps) - 1] < 0.9
    assert all(table["synthetic"].all() for table in (found.samples, found.maps, found.checks))
    of_trial = found.samples[found.samples["trial"] == "search-00000"]
    require_stored_scores(run, "search-00000", "network", of_trial)
    for name in (
        "heatmaps_samples",
        "heatmaps_labels",
        "heatmaps_attention",
        "heatmaps_check",
        "heatmaps_randomised",
    ):
        assert (run / "report" / "figures" / f"{name}.svg").read_text().count("SYNTHETIC") >= 1
        assert (run / "report" / "figures" / f"{name}.png").is_file()
    assert report.main([str(run)]) == 0
    page = (run / "report" / "index.html").read_text()
    assert '<section id="heatmaps">' in page
    assert len(page) < 5_000_000


@pytest.mark.usefixtures("without_figures")
def test_left_to_itself_it_shows_the_best_and_the_variants_with_weights(run: Path) -> None:
    trials = Store(run).read("trial").set_index("trial")
    best = trials.loc[[k for k in trials.index if k.startswith("search")], "value"].idxmax()
    assert heatmaps.main([str(run)]) == 0
    assert stored(run).trials == [best, "ablation-contexts-osim-s0"]
    assert len(stored(run).cases) == heatmaps.RANDOM


@pytest.mark.slow
def test_twice_the_same_gives_the_same(run: Path) -> None:
    def content() -> list[bytes]:
        assert heatmaps.main([str(run), "--trial", "search-00000", "--random", "2"]) == 0
        return [
            file.read_bytes()
            for folder in ("heatmaps", "report/figures")
            for file in sorted((run / folder).iterdir())
        ]

    assert content() == content()


@pytest.mark.usefixtures("without_figures")
def test_a_sample_and_a_label_can_be_asked_for(run: Path) -> None:
    test = (
        Store(run)
        .read("predictions", ["search-00000"], ["sample"], {"split": "test", "head": "network"})["sample"]
        .tolist()
    )
    assert (
        heatmaps.main([str(run), "--trial", "search-00000", "--sample", test[3], test[0], "--label", "G"])
        == 0
    )
    found = stored(run)
    assert found.cases == [test[3], test[0]]
    assert set(found.samples["label"]) == {"G"}
    assert set(found.samples["chosen"]) == {"asked"}


@pytest.mark.usefixtures("without_figures")
def test_a_metric_loss_is_explained_by_its_embedding(run: Path) -> None:
    assert heatmaps.main([str(run), "--trial", "search-00001", "--random", "2"]) == 0
    found = stored(run)
    assert "head" not in found.checks["step"].tolist()
    assert found.checks["step"].iloc[0] == "embedding"
    require_stored_scores(run, "search-00001", "knn", found.samples)
    assert max(max(values) for values in found.maps["values"]) > 0


@pytest.mark.slow
@pytest.mark.usefixtures("without_figures")
def test_single_images_have_maps_too(tmp_path: Path) -> None:
    run = tmp_path / "single"
    FakeRun(run, patients=20, synthetic=True, kind="classes").study(
        labels=["vitreous_opacity", "posterior_detachment"], num_views=1
    )
    train(run, ("search-00000", SINGLE, {}))
    assert heatmaps.main([str(run), "--random", "2"]) == 0
    assert set(stored(run).maps["view"]) == {0}
    assert stored(run).names("search-00000", GRAD_CAM) == ["vitreous_opacity", "posterior_detachment"]


@pytest.mark.slow
@pytest.mark.usefixtures("without_figures")
def test_the_pictures_are_what_the_network_saw(tmp_path: Path) -> None:
    run = tmp_path / "aligned"
    FakeRun(run, patients=20, synthetic=True).study()
    train(run, ("search-00000", {}, {}), ("search-00001", ALIGNED, {}))
    assert heatmaps.main([str(run), "--trial", "search-00000", "search-00001", "--random", "2"]) == 0
    plain, aligned = (
        stored(run).samples.query("trial == @key")["images"].iloc[0]
        for key in ("search-00000", "search-00001")
    )
    assert plain[0] == aligned[0]
    assert plain[1] != aligned[1]


def test_a_trial_without_weights_says_which_have_some(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Store(run).delete_weights("search-00000")
    said = refused([str(run), "--trial", "search-00000"], capsys)
    assert "`search-00000`: must have its weights, but only the best trials keep them" in said
    assert "Those that have: ablation-contexts-osim-s0, search-00001" in said
    assert "`keep_weights` in the study file, raised before it runs" in said
    assert not (run / "heatmaps").exists()


def test_weights_are_read_without_pickle_and_must_fit(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = run / "trials" / "search-00000" / WEIGHTS
    torch.save({"head": torch.zeros(1)}, weights)
    assert "must fit the trial's network" in refused([str(run), "--trial", "search-00000"], capsys)
    shutil.copy(run / "trials" / "search-00001" / WEIGHTS, weights)
    assert "must fit the trial's network" in refused([str(run), "--trial", "search-00000"], capsys)


def test_weights_that_give_other_scores_are_refused(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "SAME_SCORE", -1.0)
    assert "must give the scores that it gave" in refused([str(run), "--trial", "search-00000"], capsys)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["--trial", "search-00009"],
            "must be a complete trial of the run, got `search-00009`. Did you mean",
        ),
        (["--trial", *"abcdefgh"], "must be at most 7 trials side by side, got 8"),
        (["--label", "X"], "`--label`: must be a label of the run, got `X`"),
        (["--sample", "nobody"], "`--sample`: must be a sample of the test split, got `nobody`"),
        (["--random", "99"], "`--random`: must lie between 0 and 16"),
    ],
)
def test_a_wrong_wish_is_one_message(
    arguments: list[str], expected: str, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert expected in refused([str(trained), *arguments], capsys)


def test_no_run_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "must be a run's folder" in refused([str(tmp_path)], capsys)

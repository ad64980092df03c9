"""Objectives that look at more than the network's own head: retrieval, and the best head."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from study.data.cohort import open_cohort
from study.engine.start.class_prior import CLASS_PRIOR, publish_class_prior
from study.engine.training.judge import judge_of
from study.evidence.store import Store
from study.report import write_report
from study.reporting.run import load_run
from study.spec.errors import SpecError
from study.spec.task import RetrievalSpec
from study.spec.trial_spec import TrialSpec
from tests.engine.one_trial import order_of, site_of, train_whole
from tests.reporting.fake_run import FakeRun

CPU = torch.device("cpu")
SPEC: dict[str, Any] = {
    "data": {"dataset": "eyepacs", "phantom_patients": 80, "image_px": 32},
    "model": {"backbone": "tiny", "head": "softmax"},
    "loss": "cross_entropy",
    "training": {"epochs": 2, "batch_size": 16, "warmup_epochs": 0},
    "optimiser": {"lr": 3e-3},
}


def spec_of(**changes: Any) -> TrialSpec:
    return TrialSpec.read({**SPEC, **changes})


def run(spec: TrialSpec, folder: Path, cache: Path) -> Store:
    cohort = open_cohort(spec.data, cache)
    store = Store(folder)
    publish_class_prior(store, site_of(folder, cache, cohort), cohort, spec)
    train_whole(order_of(spec), folder, cache)
    return store


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def retrieved(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Store:
    return run(spec_of(task="retrieval"), tmp_path_factory.mktemp("runs") / "retrieval", cache)


def scored(store: Store, **filters: Any) -> float:
    return float(store.read("scores", filters={"chosen": True, "label": "", **filters})["value"].item())


def test_retrieval_is_judged_after_each_epoch_and_scored_at_the_end(retrieved: Store) -> None:
    trial = retrieved.read("trial", ["search-00000"]).iloc[0]
    assert (trial["objective"], trial["head"]) == ("macro_map_possible@10", "network")
    assert trial["value"] == retrieved.read("epochs")["value"].max()
    assert scored(
        retrieved, trial="search-00000", split="val", metric="macro_map_possible@10"
    ) == pytest.approx(trial["value"])
    rows = retrieved.read("scores", filters={"head": "retrieval", "trial": "search-00000"})
    assert set(rows["split"]) == {"val", "test"}
    assert set(rows["label"]) == {"", "no_dr", "mild", "moderate", "severe", "proliferative"}
    assert set(rows["setting"]) == {"cosine"}


def test_the_class_prior_retrieves_the_commonest_grade(retrieved: Store) -> None:
    target = np.stack(
        retrieved.read("embeddings", [CLASS_PRIOR], filters={"split": "test"})["target"].tolist()
    )
    train = np.stack(
        retrieved.read("embeddings", [CLASS_PRIOR], filters={"split": "train"})["target"].tolist()
    )
    commonest = train.sum(axis=0).argmax()
    found = scored(retrieved, trial=CLASS_PRIOR, split="test", metric="mhr@10")
    assert found == pytest.approx(target[:, commonest].mean())
    assert scored(retrieved, trial=CLASS_PRIOR, split="test", metric="macro_mhr@10") == pytest.approx(1 / 5)
    prior = retrieved.read("trial", [CLASS_PRIOR]).iloc[0]
    assert prior["value"] == scored(retrieved, trial=CLASS_PRIOR, split="val", metric="macro_map_possible@10")


def test_the_report_of_a_retrieval_study_is_filled(retrieved: Store, tmp_path: Path) -> None:
    row = FakeRun(tmp_path / "other", kind="grades", patients=20)
    row.store = retrieved
    row.study(
        synthetic=True,
        objective="macro_map_possible@10",
        spec='{"task": "retrieval"}',
        dataset="eyepacs",
        ablations="{}",
    )
    write_report(retrieved.where, tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert 'id="table-retrieval"' in page
    assert "macro mAP (possible)@10" in page
    run_ = load_run(retrieved.where)
    value = scored(retrieved, trial="search-00000", split="test", metric="map@10")
    assert f'data-value="{value!r}"' in page
    assert run_.score("search-00000", "map@10") == value
    fang = (tmp_path / "tables" / "fang_retrieval.md").read_text()
    assert "ours, always the commonest grade of training" in fang


def test_the_best_head_on_validation_is_the_value_and_is_recorded(tmp_path: Path, cache: Path) -> None:
    store = run(spec_of(objective="best_head.accuracy", heads=["knn", "gaussian_nb"]), tmp_path, cache)
    trial = store.read("trial", ["search-00000"]).iloc[0]
    assert trial["objective"] == "best_head.accuracy"
    scores = store.read(
        "scores", ["search-00000"], filters={"split": "val", "metric": "accuracy", "chosen": True}
    )
    assert set(scores["head"]) == {"network", "knn", "gaussian_nb"}
    best = scores.iloc[int(scores["value"].to_numpy().argmax())]
    assert (trial["value"], trial["head"], trial["setting"]) == (
        pytest.approx(best["value"]),
        best["head"],
        best["setting"],
    )


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        (
            {"task": "retrieval"},
            "multilabel",
            r"`task`: retrieval needs one class or grade a sample, got multilabel data",
        ),
        ({"heads": ["knm"]}, "grades", r"`heads`: must be post-hoc heads, got `knm`. Did you mean `knn`"),
        ({"objective": "macro_map@10"}, "grades", r"`objective`: `macro_map@10` needs `task: retrieval`"),
    ],
)
def test_what_cannot_be_judged_is_said_before_training(
    changes: dict[str, Any], kind: Any, message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        judge_of(spec_of(**changes), kind, trains_head=True)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (
            "retreival",
            r"got 'retreival'. Did you mean `retrieval`",
        ),
        ({"distance": "cosine"}, r"`task`: must be a task's name"),
        (
            {"name": "retrieval", "distnace": "cosine"},
            r"`task.distnace`: unknown key. Did you mean `distance`",
        ),
        ({"name": "classification", "distance": "cosine"}, r"`task.distance`: unknown key"),
    ],
)
def test_a_task_is_checked(task: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        spec_of(task=task)


def test_a_task_is_read_in_both_forms_and_back() -> None:
    spec = spec_of(task={"name": "retrieval", "distance": "euclidean", "exclude_same_patient": False})
    assert spec.task == RetrievalSpec(distance="euclidean", exclude_same_patient=False)
    assert TrialSpec.read(spec.dump()) == spec
    assert spec_of(task="retrieval").task == RetrievalSpec()
    assert spec_of().dump()["task"] == {"name": "classification"}

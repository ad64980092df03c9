import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from study.engine.applying.apply import chosen_trial
from study.evidence.store import Store
from study.reporting.run import Run, load_run
from study.spec.errors import StorageError
from study.spec.trial_spec import TrialSpec
from tests.evidence.fakes import study_row, trial_row
from tests.reporting.fake_run import FakeRun, fake_run


def test_the_best_trial_has_the_best_validation_value_of_the_complete_ones(run: Run) -> None:
    complete = run.trials[(run.trials["role"] == "search") & (run.trials["state"] == "complete")]
    assert run.best == complete["value"].idxmax()
    assert list(run.ranked["value"]) == sorted(complete["value"], reverse=True)


def test_of_equal_values_report_and_prediction_take_the_first_trial(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_study(study_row())
    hour = datetime(2025, 1, 1, tzinfo=UTC)
    for number in range(20):  # so many that a sort which is not stable mixes them
        spec = json.dumps(
            TrialSpec.read({"data": {"dataset": "odir5k"}, "model": {"backbone": "tiny"}}).dump()
        )
        late_first = {"ended": hour - timedelta(minutes=number), "value": 0.25 if number % 3 else 0.75}
        key = f"search-{number:05d}"
        store.publish(key, {"trial": [trial_row(key, spec=spec, provenance="{}", head="", **late_first)]})
    run = load_run(str(tmp_path))
    assert run.best == chosen_trial(store, None).key == "search-00000"
    assert list(run.ranked.index[:3]) == ["search-00000", "search-00003", "search-00006"]


def test_scores_are_those_of_the_stored_predictions(run: Run) -> None:
    assert run.best is not None
    found = run.predictions(run.best)
    assert found is not None
    expected = np.mean(
        [average_precision_score(found.target[:, i], found.score[:, i]) for i in range(len(run.labels))]
    )
    assert run.score(run.best, "macro_average_precision") == pytest.approx(expected)
    assert math.isnan(run.score(run.best, "macro_average_precision", head="svm"))


def test_predictions_of_a_head_that_is_not_there_are_none(run: Run) -> None:
    assert run.best is not None
    assert run.predictions(run.best, head="svm") is None


def test_another_k_is_decided_again_from_the_embeddings(run: Run) -> None:
    assert run.best is not None
    chosen = next(h for h in run.heads(run.best) if h.head == "knn")
    stored, again = (
        run.predictions(run.best, head="knn"),
        run.predictions(run.best, head="knn", setting=chosen.setting),
    )
    assert stored is not None
    assert again is not None
    np.testing.assert_allclose(again.score, stored.score, atol=1e-6)
    other = run.predictions(run.best, head="knn", setting="k=1, cosine, uniform")
    assert other is not None
    assert set(np.unique(other.score)) <= {0.0, 1.0}


def test_the_prior_is_found_under_its_own_head(run: Run) -> None:
    assert run.own_head("baseline-prior") == "prior"
    assert run.score("baseline-prior", "macro_auc") == pytest.approx(0.5)


def test_one_label_a_sample_is_decided_by_the_greatest_score(ultrasound: Run) -> None:
    assert ultrasound.decided_by("accuracy", "half") == "argmax"
    assert ultrasound.decided_by("macro_auc", "half") == "none"
    assert ultrasound.best is not None
    assert ultrasound.score(ultrasound.best, "accuracy") > 0.5


def test_synthetic_of_a_single_trial_stamps_the_run(run: Run, hostile: Run) -> None:
    assert not run.synthetic
    assert hostile.synthetic


def test_a_folder_without_a_run_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"must be a run's folder with a readable study\.parquet"):
        load_run(str(tmp_path))


def test_a_run_without_a_finished_trial_is_one_message(tmp_path: Path) -> None:
    FakeRun(tmp_path / "new").study()
    with pytest.raises(StorageError, match="must hold at least one finished trial, got none"):
        load_run(str(tmp_path / "new"))


def test_a_damaged_file_is_left_out_and_named(tmp_path: Path) -> None:
    folder = fake_run(tmp_path / "damaged", num_search=3)
    (folder / "trials" / "search-00001" / "scores.parquet").write_bytes(b"PAR1")
    run = load_run(str(folder))
    assert any("search-00001/scores.parquet" in problem for problem in run.problems)
    assert math.isnan(run.score("search-00001", "macro_auc"))
    assert Store(folder).keys() == list(run.trials.index)


def test_a_message_of_megabytes_is_cut(tmp_path: Path) -> None:
    written = FakeRun(tmp_path / "long")
    written.study()
    written.trial("search-00000", [], state="failed", number=0, message="x" * 10**6, value=None)
    run = load_run(str(tmp_path / "long"))
    assert run.of_trial("search-00000", "message") == "x" * 2000 + " ... (998000 more letters)"

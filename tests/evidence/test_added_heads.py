from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from study.evidence.added_heads import add_heads
from study.evidence.store import Store
from study.spec.errors import SpecError
from tests.evidence.fakes import LABELS, fake_embeddings, fake_predictions, trial_row

KEY = "search-00001"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "toy")
    stored = pa.concat_tables([fake_embeddings(split).table() for split in ("train", "val", "test")])
    predictions = fake_predictions(KEY).table()
    store.publish(KEY, {"trial": [trial_row(KEY)], "embeddings": stored, "predictions": predictions})
    return store


def add(store: Store, heads: Sequence[str]) -> list[tuple[str, str]]:
    return list(add_heads(store, [KEY], heads, "multilabel", LABELS, "macro_f1", "f1"))


def test_a_head_that_was_added_is_read_with_the_trial_and_fitted_once(store: Store) -> None:
    assert add(store, ["gaussian_nb", "svm_unscaled"]) == [(KEY, "gaussian_nb"), (KEY, "svm_unscaled")]
    assert add(store, ["gaussian_nb", "svm_unscaled"]) == []
    predictions = store.read("predictions")
    assert set(predictions["head"]) == {"network", "gaussian_nb", "svm_unscaled"}
    assert set(predictions.loc[predictions["head"] == "svm_unscaled", "split"]) == {"val", "test"}
    scores = store.read(
        "scores", filters={"chosen": True, "metric": "macro_f1", "decision": "half", "split": "val"}
    )
    assert scores["head"].tolist() == ["gaussian_nb", "svm_unscaled"]
    assert np.isfinite(scores["value"]).all()
    assert store.keys() == [KEY]
    assert store.problems == []


def test_a_head_with_fixed_settings_is_another_head_than_the_free_one(store: Store) -> None:
    assert add(store, ["knn", "knn k=2"]) == [(KEY, "knn"), (KEY, "knn k=2")]
    assert add(store, ["knn k=2"]) == []
    assert set(store.read("scores", filters={"chosen": True})["head"]) == {"knn", "knn k=2"}
    assert store.problems == []


def test_an_unfinished_or_damaged_head_is_not_there_and_can_be_fitted_again(
    store: Store, tmp_path: Path
) -> None:
    add(store, ["gaussian_nb"])
    folder = tmp_path / "toy/heads" / KEY / "gaussian_nb"
    (folder / "predictions.parquet").write_bytes(b"PAR1")
    (folder / "scores.parquet").unlink()
    assert set(store.read("predictions")["head"]) == {"network"}
    assert add(store, ["gaussian_nb"]) == [(KEY, "gaussian_nb")]
    (folder / "scores.parquet").write_bytes(b"PAR1")
    assert store.read("scores").empty
    assert f"`heads/{KEY}/gaussian_nb/scores.parquet`: cannot be read" in store.problems[0]


def test_an_unknown_head_is_named(store: Store) -> None:
    with pytest.raises(SpecError, match=r"`heads`: must be post-hoc heads, got `svn`. Did you mean `svm`"):
        add(store, ["svn"])


def test_all_is_every_head_there_is(store: Store) -> None:
    assert [head for _, head in add(store, "all")][:3] == ["knn", "knn_first", "logistic_regression"]

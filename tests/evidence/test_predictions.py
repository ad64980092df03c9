import dataclasses

import numpy as np
import pyarrow as pa

from study.evidence.predictions import Embeddings, Predictions, embeddings_of, predictions_of
from study.evidence.schema import EMBEDDINGS, PREDICTIONS
from tests.evidence.fakes import fake_embeddings, fake_predictions


def same(a: Predictions | Embeddings, b: Predictions | Embeddings) -> bool:
    for field in dataclasses.fields(a):
        left, right = getattr(a, field.name), getattr(b, field.name)
        if isinstance(left, np.ndarray):
            np.testing.assert_array_equal(left, right)
        else:
            assert left == right, field.name
    return True


def test_predictions_survive_the_way_through_a_table() -> None:
    parts = [
        fake_predictions("search-00002", "val"),
        fake_predictions("search-00001", "test"),
        fake_predictions("search-00002", "test", num_samples=5),
    ]
    parts[0].target[1, 2] = -1
    table = pa.concat_tables([p.table() for p in parts])
    assert table.schema.equals(PREDICTIONS)
    assert table["target"][1].as_py()[2] is None
    shuffled = table.take(pa.array(np.argsort(np.arange(len(table)) % 7, kind="stable")))
    for part, back in zip(parts, predictions_of(table), strict=True):
        assert same(part, back)
    assert {(p.trial, p.split, len(p.sample)) for p in predictions_of(shuffled)} == {
        (p.trial, p.split, len(p.sample)) for p in parts
    }


def test_embeddings_survive_the_way_through_a_table() -> None:
    parts = [fake_embeddings("train"), fake_embeddings("val", 7)]
    table = pa.concat_tables([p.table() for p in parts])
    assert table.schema.equals(EMBEDDINGS)
    assert all(same(part, back) for part, back in zip(parts, embeddings_of(table), strict=True))
    assert predictions_of(PREDICTIONS.empty_table()) == []


def test_generated_samples_are_synthetic_among_real_ones() -> None:
    some = dataclasses.replace(
        fake_embeddings("train", 4), synthetic=False, generated=np.array([False, True, True, False])
    )
    some.target[1, 0] = -1
    table = some.table()
    assert table["synthetic"].to_pylist() == [False, True, True, False]
    assert same(some, embeddings_of(table)[0])
    assert some.known().table()["synthetic"].to_pylist() == [False, True, False]


def test_only_samples_without_unknown_labels_are_known() -> None:
    some = fake_predictions(num_samples=6)
    some.target[2, 1] = -1
    known = some.known()
    assert known.sample == [s for i, s in enumerate(some.sample) if i != 2]
    assert known.score.shape == (5, 3)
    assert same(known.known(), known)

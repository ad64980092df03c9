"""A run goes on with the same settings and the same files, wherever they lie."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from study.engine.start.identity import extensions, require_same_data, require_same_study
from study.engine.start.start import with_present_paths
from study.evidence.schema import STUDY as COLUMNS
from study.evidence.store import Store
from study.spec.errors import DataError, SpecError
from study.spec.reading import override
from study.spec.study_file import StudySpec
from tests.engine.one_trial import order_of

STUDY: dict[str, Any] = {
    "study": "a",
    "data": {"dataset": "odir5k", "root": "/old/odir"},
    "model": {"backbone": "tiny"},
    "optimiser": {"lr": {"type": "float", "low": 1e-4, "high": 1e-2}},
    "search": {"trials": 5},
}


def spec(**settings: Any) -> StudySpec:
    return StudySpec.read(override(STUDY, settings))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    counts = {split: {"patients": 5, "samples": 5} for split in ("train", "val", "test")}
    run = Store(tmp_path / "a")
    row = {
        **dict.fromkeys(COLUMNS.names),
        "identity": json.dumps(spec().identity()),
        "data_fingerprint": "files",
        "split_hash": "sides",
        "root": "/old/odir",
        "split_counts": json.dumps(counts),
        "extensions": "[]",
    }
    run.write_study(row)
    return run


def cohort(fingerprint: str = "files", split_hash: str = "sides") -> Any:
    pairs = SimpleNamespace(fingerprint=fingerprint, root="/new/odir")
    return SimpleNamespace(pairs=pairs, split_hash=split_hash, counts=lambda: {"train": {"samples": 9}})


def test_moved_data_are_the_same_study(store: Store) -> None:
    assert require_same_study(store, spec(**{"data.root": "/new/odir"}), extend=False) == []
    require_same_data(store, cohort())


def test_other_files_and_other_splits_are_refused(store: Store) -> None:
    message = (
        r"`data.root`: must hold the files .* \(15 samples under `/old/odir`\), "
        r"got other .* \(9 samples under"
    )
    with pytest.raises(DataError, match=message):
        require_same_data(store, cohort("others"))
    with pytest.raises(DataError, match=r"`data.split`: must be the split with which"):
        require_same_data(store, cohort(split_hash="others"))


def test_an_interrupted_order_finds_the_data_where_they_lie_now() -> None:
    order = order_of(spec().preset({}))
    moved = with_present_paths(order, spec(**{"data.root": "/new/odir"}).preset({}))
    assert moved.trial_spec().data.root == "/new/odir"
    assert replace(moved, spec=order.spec) == order


def test_more_of_the_same_needs_to_be_asked_for_and_is_noted(store: Store) -> None:
    more = spec(**{"search.trials": 9, "optimiser.lr.high": 1e-1})
    with pytest.raises(SpecError, match=r"(?s)search.trials: was 5, is 9.*use --extend for more trials"):
        require_same_study(store, more, extend=False)
    accepted = require_same_study(store, more, extend=True)
    assert [line.split(":")[0] for line in accepted] == ["search.trials", "template.optimiser.lr"]
    noted = json.loads(extensions(store, accepted))
    assert noted[0]["changes"] == accepted
    store.write_study({**store.read_study(), "extensions": json.dumps(noted)})
    assert len(json.loads(extensions(store, ["again"]))) == 2
    assert json.loads(extensions(store, [])) == noted


def test_other_thresholds_are_another_study(store: Store) -> None:
    with pytest.raises(SpecError, match=r"(?s)template.thresholds: was not there, is youden"):
        require_same_study(store, spec(thresholds="youden"), extend=True)


def test_another_study_is_refused_even_then(store: Store) -> None:
    with pytest.raises(
        SpecError, match=r"(?s)template.training: was not there, is {.batch_size.: 8}"
    ) as refused:
        require_same_study(store, spec(**{"training": {"batch_size": 8}, "search.trials": 9}), extend=True)
    assert "search.trials" not in str(refused.value)

"""Tables of a search with several objectives, and of the repeats after it."""

import json
from pathlib import Path

import numpy as np
import pytest

from study.evidence.predictions import Embeddings
from study.evidence.retrieval import retrieval_means
from study.reporting.choice_stability import choice_stability_of
from study.reporting.retrieval import ranking_of
from study.reporting.run import load_run
from study.reporting.table import Value
from study.reporting.tables.confirmation import Confirmation
from study.reporting.tables.pareto import Pareto, undominated
from tests.reporting.fake_run import FakeRun

VALUES = [(0.9, 300), (0.8, 100), (0.7, 200), (0.8, 400)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fake = FakeRun(tmp_path / "run", patients=40)
    fake.study()
    for i, (value, cost) in enumerate(VALUES):
        key = f"search-{i:05d}"
        objectives = json.dumps({fake.objective: value, "multiply_adds": cost})
        fake.trial(key, fake.predictions(key, 1.0), number=i, value=value, objectives=objectives)
    for seed in (1, 2, 3):
        key = f"confirm-00000-s{seed}"
        fake.trial(
            key, fake.predictions(key, 0.5 + 0.2 * seed), role="confirm", variant="search-00000", seed=seed
        )
    fake.trial(
        "confirm-00001-s1",
        [],
        role="confirm",
        variant="search-00001",
        seed=1,
        state="failed",
        outcome="error",
        message="no luck",
    )
    return tmp_path / "run"


def test_the_front_holds_what_nothing_beats(folder: Path) -> None:
    table = Pareto().build(load_run(str(folder)))
    assert table is not None
    assert [row.key for row in table.rows] == ["search-00000", "search-00001"]
    assert [column.title for column in table.columns][2:] == ["mAP ↑", "multiply adds ↓"]
    cost = table.cell("search-00001", "multiply_adds")
    assert isinstance(cost, Value)
    assert cost.text == "100"
    assert "2 of 4 complete trials" in table.remarks[0]


def test_one_objective_has_no_front(folder: Path, tmp_path: Path) -> None:
    fake = FakeRun(tmp_path / "one", patients=40)
    fake.study()
    fake.trial(
        "search-00000", fake.predictions("search-00000", 1.0), objectives=json.dumps({fake.objective: 0.5})
    )
    assert Pareto().build(load_run(str(tmp_path / "one"))) is None


def test_undominated_rows_by_hand() -> None:
    values = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.4, 0.4], [1.0, 0.0], [np.nan, 2.0]])
    assert undominated(values).tolist() == [True, True, True, False, True, False]


def test_repeats_are_averaged_beside_the_searchs_own_value(folder: Path) -> None:
    run = load_run(str(folder))
    table = Confirmation().build(run)
    assert table is not None
    assert [row.key for row in table.rows] == ["search-00000", "search-00001"]
    repeats = [run.score(f"confirm-00000-s{seed}", run.objective, split="val") for seed in (1, 2, 3)]
    validation = table.cell("search-00000", "validation")
    assert isinstance(validation, Value)
    assert validation.value == pytest.approx(np.mean(repeats))
    assert validation.spread == pytest.approx(np.std(repeats, ddof=1))
    assert table.cell("search-00000", "search").text == "0.900"
    assert table.cell("search-00001", "validation").text == "failed"


class FakeRetrieval(FakeRun):
    """Each trial's embedding is noisier than the one before."""

    def embeddings(self, key: str) -> list[Embeddings]:
        noise = 1.0 + int(key[-1])
        return [
            Embeddings(
                trial=key,
                embedding=(2.0 * truth + noise * self.noise[split]).astype(np.float32),
                **self.samples_of(split),
            )
            for split, truth in self.truth.items()
        ]


def test_what_the_choice_of_a_retriever_is_worth(tmp_path: Path) -> None:
    measure = "macro_map@10"
    fake = FakeRetrieval(tmp_path / "run", kind="grades", patients=120)
    fake.study(objective=measure)
    for i in range(3):
        key = f"search-{i:05d}"
        fake.trial(key, fake.predictions(key, 1.0), number=i, value=1.0 - 0.1 * i, objective=measure)
    run = load_run(str(tmp_path / "run"))
    found = choice_stability_of(run)
    assert found is not None
    values = [
        float(retrieval_means(ranked[0], measure)[0])
        for key in found.keys
        if (ranked := ranking_of(run, key, "val"))
    ]
    assert found.selection.naive == max(values) == values[0]
    assert found.selection.pick_share[0] > found.selection.pick_share[2]
    assert found.selection.low < found.selection.corrected <= found.selection.naive < found.selection.high

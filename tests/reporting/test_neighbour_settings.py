"""K, distance, vote and a margin as parameters of made-up studies in which it is known what matters."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from study.evidence.heads import FittedHeads
from study.evidence.predictions import Embeddings
from study.evidence.schema import NEIGHBOURS
from study.evidence.statistics.importance import DUMMY
from study.reporting.figure import draw
from study.reporting.neighbour_settings import NAMES, neighbour_settings_of
from study.reporting.results import configuration
from study.reporting.run import Run, load_run
from study.reporting.table import Table, Value
from study.reporting.tables.leaderboard import Leaderboard
from study.reporting.tables.options import OF_NEIGHBOURS, Options
from study.spec import components
from tests.reporting.fake_run import FakeRun

K = np.arange(1, 51)
MARGIN = "bundles.loss.contrastive.loss.margin"
SPACE: dict[str, dict[str, Any]] = {
    "optimiser.lr": {"type": "float", "low": 1e-5, "high": 1e-2, "step": None, "log": True},
    "bundles.loss": {"type": "categorical", "choices": ["bce", "contrastive"]},
    MARGIN: {"type": "float", "low": 0.3, "high": 1.5, "step": None, "log": False},
    **{
        f"training.x{i}": {"type": "float", "low": 0, "high": 1, "step": None, "log": False}
        for i in range(12)
    },
}


class SettingsRun(FakeRun):
    """A study whose trials have a given validation value at each K; distances and votes do nothing.

    Attributes:
        curve: Value of the trial that is written next, at each K.
    """

    curve: np.ndarray

    def fit_heads(self, key: str) -> FittedHeads:
        best = f"k={K[self.curve.argmax()]}, cosine, uniform"
        rows: list[dict[str, Any]] = []
        for k, value in zip(K, self.curve, strict=True):
            for way in ("euclidean, uniform", "euclidean, distance", "cosine, uniform", "cosine, distance"):
                row: dict[str, Any]
                row = {"trial": key, "head": "knn", "setting": f"k={k}, {way}", "split": "val", "label": ""}
                row |= {"decision": "argmax", "metric": self.objective, "synthetic": False}
                noise = 0.004 * self.random.normal()
                rows.append({**row, "chosen": row["setting"] == best, "value": float(value + noise)})
        predictions = [replace(p, head="knn", setting=best) for p in self.predictions(key, 1.0)]
        return FittedHeads(predictions, rows, NEIGHBOURS.empty_table())


def study(
    folder: Path, curve_of: Callable[[dict[str, Any]], np.ndarray], num_trials: int, **space: Any
) -> Run:
    """A run of which nearest neighbours stand for every trial."""
    run = SettingsRun(folder, kind="classes", patients=12)
    run.study(search_space=json.dumps(SPACE))
    for i in range(num_trials):
        params: dict[str, Any] = {
            "optimiser.lr": float(10 ** run.random.uniform(-5, -2)),
            "bundles.loss": "contrastive" if i % 4 else "bce",
            **{f"training.x{j}": float(run.random.random()) for j in range(12)},
        }
        if params["bundles.loss"] == "contrastive":
            params[MARGIN] = float(run.random.uniform(0.3, 1.5))
        run.curve = curve_of(params) + 0.01 * run.random.normal()
        key = f"search-{i:05d}"
        run.trial(
            key,
            run.predictions(key, 1.0),
            number=i,
            params=json.dumps(params),
            head="knn",
            setting=f"k={K[run.curve.argmax()]}, cosine, uniform",
            value=float(run.curve.max()),
        )
    return load_run(str(folder))


def of_k(params: dict[str, Any]) -> np.ndarray:
    """K alone matters; 5 to 9 neighbours are best."""
    best = 5 + int(5 * params["training.x0"])
    return 0.5 + 0.3 * np.exp(-((K - best) ** 2) / 50)


def of_lr(params: dict[str, Any]) -> np.ndarray:
    """The learning rate alone matters, and 1e-3 is best."""
    return np.full(50, 0.9 - 0.1 * abs(np.log10(params["optimiser.lr"]) + 3))


def of_margin(params: dict[str, Any]) -> np.ndarray:
    """The margin alone matters, in the branch that has one, and 0.9 is best."""
    return np.full(50, 0.9 - abs(params[MARGIN] - 0.9) if MARGIN in params else 0.5)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("settings")
    return {
        name: study(folder / name, curve, 100)
        for name, curve in {"k": of_k, "lr": of_lr, "margin": of_margin}.items()
    }


def data(name: str, run: Run) -> Any:
    return components.load("figure", name)().data(run)


@pytest.mark.parametrize(
    ("name", "of_searched", "of_neighbours"),
    [
        ("k", set(), {"KNN K"}),
        ("lr", {"lr"}, set()),
        ("margin", {"margin"}, set()),
    ],
)
def test_importance_finds_what_matters_and_nothing_else(
    runs: dict[str, Run], name: str, of_searched: set[str], of_neighbours: set[str]
) -> None:
    found = data("importance", runs[name])
    searched, neighbours = found.rows.set_index("name"), found.neighbours.set_index("name")
    assert set(searched.index) == {"lr", "loss", "margin", *(f"x{i}" for i in range(12)), DUMMY}
    between = "all that differs between trials"
    assert set(neighbours.index) == {*NAMES.values(), between}
    assert set(searched.index[searched["above_noise"].astype(bool)]) - {"loss"} == of_searched
    assert set(neighbours.index[neighbours["above_noise"].astype(bool)]) - {between} == of_neighbours
    shares = neighbours["importance"]
    assert (shares["KNN K"] > 0.8) == (shares[between] < 0.2) == (name == "k")


def test_slices_show_k_beside_the_searched_parameters(runs: dict[str, Run]) -> None:
    found = data("slices", runs["k"])
    by_name = {part.name: part for part in found.slices}
    k = by_name["KNN K"]
    assert k.place.tolist() == list(range(1, 51)) * 100
    curves = k.value.reshape(100, 50)
    assert abs(int(np.median(curves, axis=0).argmax()) + 1 - 7) <= 1
    assert k.place[k.best].tolist() == list(range(1, 51))
    best = runs["k"].store.read("scores", [str(runs["k"].best)], filters={"head": "knn", "split": "val"})
    of_seven = best[best["setting"].str.startswith("k=7,")]["value"]
    assert k.value[k.best][6] == pytest.approx(of_seven.mean())
    assert draw("slices", runs["k"]) is not None


@pytest.mark.parametrize(("name", "most"), [("k", "KNN K"), ("lr", "lr"), ("margin", "margin")])
def test_figures_without_room_for_all_show_the_most_important_and_say_so(
    runs: dict[str, Run], name: str, most: str
) -> None:
    slices, parallel = data("slices", runs[name]), data("parallel", runs[name])
    assert len(slices.slices) == 12
    assert len(parallel.axes) == 9
    assert most in [part.name for part in slices.slices]
    assert most in [axis.name for axis in parallel.axes]
    caption = components.load("figure", "slices")().caption(slices)
    assert "is red. 6 of the 18 parameters are left out: the least important." in caption
    caption = components.load("figure", "parallel")().caption(parallel)
    num = 16 if name == "k" else 15  # where K does nothing, every trial has K = 1, and K has no axis
    assert caption.endswith(f"{num - 8} of the {num} parameters are left out: the least important.")


def test_with_few_trials_the_last_parameters_are_left_out_and_k_is_kept(tmp_path: Path) -> None:
    run = study(tmp_path / "few", of_lr, 6)
    found = data("slices", run)
    names = [part.name for part in found.slices]
    assert names == ["lr", "loss", "margin", *(f"x{i}" for i in range(6)), *NAMES.values()]
    assert found.left_out.endswith("left out: the last ones, since too few trials say what matters.")
    assert found.slices[-1].choices == ("distance", "uniform")
    assert data("importance", run) is None


def test_the_leaderboard_names_the_setting_of_the_head_that_stands_for_a_trial(runs: dict[str, Run]) -> None:
    table = Leaderboard().build(runs["k"])
    assert table is not None
    words = table.cell(str(runs["k"].best), "configuration").text
    setting = runs["k"].of_trial(str(runs["k"].best), "setting")
    common = " ".join(table.remarks)
    assert words.endswith(f"KNN K {setting[2]}")  # distance and vote are those of every trial
    assert "KNN distance cosine" in common
    assert "KNN vote uniform" in common
    own_head = replace(runs["k"], trials=runs["k"].trials.assign(head="network", setting=""))
    assert "KNN" not in configuration(own_head, str(runs["k"].best))


class EmbeddingsRun(FakeRun):
    """Two classes; the embedding of the trial that is written next decides what its neighbours know.

    Attributes:
        twins: Whether each validation sample has one near training sample of its class, among others at
            random; else the classes lie apart.
    """

    twins: bool

    def embeddings(self, key: str) -> list[Embeddings]:
        self.truth["val"] = self.truth["train"]
        places = np.random.default_rng(3).normal(size=(self.patients, 64))
        place = {"train": places, "val": places + 0.9 * self.random.normal(size=places.shape)}
        if not self.twins:
            place = {
                split: 9.0 * self.truth[split] + self.random.random((self.patients, 2)) for split in place
            }
        return [
            Embeddings(trial=key, embedding=place[split].astype(np.float32), **self.samples_of(split))
            for split in place
        ]

    def fit_heads(self, key: str) -> FittedHeads:
        self._fitted = None
        return super().fit_heads(key)


def options(folder: Path, *, twins: bool) -> Table:
    """The table of options of three trials, of which the one with the greatest learning rate is best."""
    run = EmbeddingsRun(folder, kind="classes", patients=120)
    run.twins = twins
    run.study()
    for i in range(3):
        key = f"search-{i:05d}"
        params = json.dumps({"optimiser.lr": 10.0 ** (i - 4), "model.fusion": "concat"})
        run.trial(key, run.predictions(key, 0.1 + 1.5 * (i == 2)), number=i, params=params)
    table = Options().build(load_run(str(folder)))
    assert table is not None
    return table


def probabilities(table: Table, parameter: str) -> list[float]:
    cells = [table.cell(row.key, "probability") for row in table.rows if row.key.startswith(f"{parameter}=")]
    return [cell.value for cell in cells if isinstance(cell, Value)]


def test_options_of_k_are_found_on_the_embedding_of_the_winning_trial(tmp_path: Path) -> None:
    table = options(tmp_path / "twins", twins=True)
    assert [row.cells[1].text for row in table.rows[-7:]] == [
        *("1 to 17", "18 to 34", "35 to 50"),
        *("cosine", "euclidean", "distance", "uniform"),
    ]
    assert probabilities(table, "knn.k")[0] > 0.95
    assert sum(probabilities(table, "knn.k")) == pytest.approx(1)
    assert table.remarks[-1] == OF_NEIGHBOURS


def test_options_share_the_probability_where_neighbours_settings_do_not_matter(tmp_path: Path) -> None:
    table = options(tmp_path / "apart", twins=False)
    assert probabilities(table, "optimiser.lr")[-1] > 0.95
    assert probabilities(table, "knn.k") == pytest.approx([17 / 50, 17 / 50, 16 / 50])
    assert probabilities(table, "knn.distance") == pytest.approx([0.5, 0.5])


def test_neighbours_of_a_retrieval_are_shown_by_their_own_measure(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "retrieval", kind="grades", patients=40)
    run.study(objective="macro_map@10")
    for i in range(3):
        key = f"search-{i:05d}"
        run.trial(key, run.predictions(key, 1.0), number=i, value=0.5 + 0.1 * i, objective="macro_map@10")
    loaded = load_run(str(tmp_path / "retrieval"))
    curve = data("neighbours", loaded)
    assert (curve.measure, curve.rows["k"].max()) == ("quadratic_kappa", 40)
    slices = data("slices", loaded)
    assert [part.name for part in slices.slices] == list(NAMES.values())
    assert "quadratic" in components.load("figure", "slices")().caption(slices)


def test_settings_that_few_trials_tried_and_trials_that_lack_one_are_left_out(runs: dict[str, Run]) -> None:
    found = neighbour_settings_of(runs["k"])
    assert found is not None
    assert found.values.shape == (100, 50, 2, 2)
    assert found.trials == tuple(runs["k"].ranked.index)
    rows = runs["k"].store.read("scores", [found.trials[3]], filters={"setting": "k=9, cosine, uniform"})
    assert found.values[3, 8, 0, 1] == rows["value"].item()

"""`study.report --verify` on one small real run: it passes for an honest copy, and finds every change."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from study import run
from study.evidence.predictions import predictions_of
from study.evidence.schema import TABLES
from study.evidence.score import score_rows
from study.evidence.store import Store
from study.report import main, write_report
from study.reporting.run import load_run
from tests.commands.test_run import write

TRIAL, OTHER = "search-00000", "ablation-dmsnet_table3-none-s0"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verify")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run.main([write(folder), "--storage", str(folder / "runs")]) == 0
    return folder / "runs" / "small"


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return change


def swap_figures(folder: Path) -> None:
    figures = sorted((folder / "report" / "figures").glob("*.png"))[:2]
    first, second = (figure.read_bytes() for figure in figures)
    figures[0].write_bytes(second)
    figures[1].write_bytes(first)


def add_table(folder: Path) -> None:
    (folder / "report" / "tables" / "extra.csv").write_text("row,value\na,1\n")


def republish(folder: Path, forged: Callable[[Store, dict[str, Any]], dict[str, Any]]) -> None:
    """Replaces a trial by a forged one with a digest of its own, and writes the report again."""
    store = Store(folder)
    tables = {name: store.read_table(name, [TRIAL]) for name in TABLES}
    shutil.rmtree(folder / "trials" / TRIAL)
    store.publish(TRIAL, forged(store, tables))
    write_report(folder)


def other_value(folder: Path) -> None:
    republish(folder, lambda _, t: {**t, "trial": [{**t["trial"].to_pylist()[0], "value": 0.99}]})


def other_predictions(folder: Path) -> None:
    def forged(store: Store, tables: dict[str, Any]) -> dict[str, Any]:
        rows = store.read_table("predictions", [OTHER]).to_pylist()
        return {**tables, "predictions": [{**row, "trial": TRIAL} for row in rows]}

    republish(folder, forged)


def decisions_as_truth(folder: Path) -> None:
    def forged(store: Store, tables: dict[str, Any]) -> dict[str, Any]:
        known = load_run(str(folder))
        rows = tables["predictions"].to_pylist()
        for row in rows:
            if row["split"] == "test":
                row["target"] = [int(score > 0.2) for score in row["score"]]
        fake = {**tables, "predictions": rows}
        store.publish(
            "scratch", {**fake, **{n: [{**r, "trial": "scratch"} for r in _rows(t)] for n, t in fake.items()}}
        )
        parts = predictions_of(store.read_table("predictions", ["scratch"]))
        shutil.rmtree(folder / "trials" / "scratch")
        scores = score_rows(parts, known.kind, known.labels, known.thresholds)
        return {**fake, "scores": [{**row, "trial": TRIAL} for row in scores]}

    republish(folder, forged)


def _rows(table: Any) -> list[dict[str, Any]]:
    return table if isinstance(table, list) else table.to_pylist()


def lose_trial(folder: Path) -> None:
    shutil.rmtree(folder / "trials" / TRIAL)
    write_report(folder)


def test_an_honest_copy_under_another_name_verifies(
    original: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(original, tmp_path / "another name")
    assert main([str(copy), "--verify"]) == 0
    assert "all as written" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (edit("report/index.html", " was chosen: ", " is best: "), "index.html: written"),
        (edit("report/index.html", "<figcaption><b>", "<figcaption><b>Not "), "index.html: written"),
        (swap_figures, ".png: written another picture"),
        (edit("split.csv", ",test", ",train"), "split.csv: written a split with the hash"),
        (add_table, "tables/extra.csv: written a file, computed none"),
        (other_value, "value: written 0.99"),
        (other_predictions, f"trials/{TRIAL}: written digest"),
        (other_predictions, "in plain loops"),
        (decisions_as_truth, "in samples.parquet ("),
        (lose_trial, f"trials/{TRIAL}: written digest"),
    ],
)
def test_every_change_is_found(
    original: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Path], None],
    message: str,
) -> None:
    folder = shutil.copytree(original, tmp_path / "small")
    change(folder)
    assert main([str(folder), "--verify"]) == 1
    assert message in capsys.readouterr().out

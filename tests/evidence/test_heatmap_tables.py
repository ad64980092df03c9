from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from study.evidence.heatmap_tables import ATTENTION, GRAD_CAM, read_heatmaps, write_heatmaps
from study.evidence.store import Store


def rows(step: str = "") -> dict[str, list[dict[str, Any]]]:
    """One trial, one sample, both eyes."""
    sample = {
        "trial": "a",
        "sample": "s",
        "patient": "p",
        "chosen": "random",
        "label": "D",
        "target": [0, 1],
        "score": [0.2, 0.8],
        "decided": [False, True],
        "images": [b"left", b"right"],
        "synthetic": True,
    }
    shared = {"trial": "a", "sample": "s", "method": GRAD_CAM, "name": "D", "step": step, "synthetic": True}
    maps = [
        {**shared, "view": view, "height": 2, "width": 3, "values": [6.0 * view + i for i in range(6)]}
        for view in (0, 1)
    ]
    check = {
        "trial": "a",
        "place": 0,
        "step": "head",
        "rank_correlation": 0.1,
        "ssim": 0.2,
        "num_maps": 2,
        "synthetic": True,
    }
    return {"samples": [sample], "maps": maps, "checks": [check]}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert read_heatmaps(store) is None
    write_heatmaps(store, rows())
    found = read_heatmaps(store)
    assert found is not None
    assert (found.trials, found.cases) == (["a"], ["s"])
    assert (found.names("a", GRAD_CAM), found.names("a", ATTENTION)) == (["D"], [])
    maps = found.of("a", "s", GRAD_CAM, "D")
    assert maps.keys() == {0, 1}
    assert maps[1].tolist() == [[6, 7, 8], [9, 10, 11]]
    assert found.of("a", "s", GRAD_CAM, "D", "head") == {}
    assert found.samples["synthetic"].all()
    assert store.problems == []


def test_the_next_ones_replace_them(tmp_path: Path) -> None:
    store = Store(tmp_path)
    write_heatmaps(store, rows())
    write_heatmaps(store, rows("head"))
    found = read_heatmaps(store)
    assert found is not None
    assert found.of("a", "s", GRAD_CAM, "D") == {}
    assert len(found.maps) == 2


def test_others_can_read_them(tmp_path: Path) -> None:
    write_heatmaps(Store(tmp_path), rows())
    maps = tmp_path / "heatmaps" / "maps.parquet"
    found = duckdb.sql(f"select view, list_sum(values) from '{maps}' order by view")
    assert found is not None
    assert found.fetchall() == [(0, 15.0), (1, 51.0)]


def cut_off(folder: Path) -> None:
    (folder / "maps.parquet").write_bytes(b"PAR1 no")


def exchange(folder: Path) -> None:
    (folder / "maps.parquet").write_bytes((folder / "checks.parquet").read_bytes())


def forget_samples(folder: Path) -> None:
    write_heatmaps(Store(folder.parent), {**rows(), "samples": []})


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut_off, "cannot be read"),
        (exchange, "other columns"),
        (forget_samples, "do not belong together"),
    ],
)
def test_damaged_ones_are_named_and_skipped(
    tmp_path: Path, damage: Callable[[Path], None], said: str
) -> None:
    store = Store(tmp_path)
    write_heatmaps(store, rows())
    damage(tmp_path / "heatmaps")
    assert read_heatmaps(store) is None
    assert said in store.problems[0]


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    wrong = rows()
    del wrong["maps"][0]["view"]
    with pytest.raises(TypeError, match=r"`heatmaps/maps\.view`: the column is missing"):
        write_heatmaps(Store(tmp_path), wrong)


def test_maps_are_float_and_the_flag_is_in_every_table(tmp_path: Path) -> None:
    write_heatmaps(Store(tmp_path), rows())
    found = read_heatmaps(Store(tmp_path))
    assert found is not None
    assert found.of("a", "s", GRAD_CAM, "D")[0].dtype == np.float32
    assert all(table["synthetic"].all() for table in (found.samples, found.maps, found.checks))

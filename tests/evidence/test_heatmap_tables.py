from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from study.evidence.heatmap_tables import ATTENTION, GRAD_CAM, read_heatmaps, write_heatmaps
from study.evidence.store import Store


def rows(step: str = "") -> dict[str, list[dict[str, Any]]]:
    """One trial, one sample, both eyes."""
    sample = {"trial": "a", "sample": "s", "patient": "p", "chosen": "random", "label": "D", "target": [0, 1], "score": [0.2, 0.8],
              "decided": [False, True], "images": [b"left", b"right"], "synthetic": True}  # fmt: skip
    maps = [{"trial": "a", "sample": "s", "view": view, "method": GRAD_CAM, "name": "D", "step": step, "height": 2, "width": 3,
             "values": [float(6 * view + i) for i in range(6)], "synthetic": True} for view in (0, 1)]  # fmt: skip
    checks = [
        {
            "trial": "a",
            "place": 0,
            "step": "head",
            "rank_correlation": 0.1,
            "ssim": 0.2,
            "num_maps": 2,
            "synthetic": True,
        }
    ]
    return {"samples": [sample], "maps": maps, "checks": checks}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert read_heatmaps(store) is None
    write_heatmaps(store, rows())
    found = read_heatmaps(store)
    assert found is not None
    assert (found.trials, found.cases, found.names("a", GRAD_CAM), found.names("a", ATTENTION)) == (
        ["a"],
        ["s"],
        ["D"],
        [],
    )
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
    values = duckdb.sql(
        f"select view, list_sum(values) from '{tmp_path}/heatmaps/maps.parquet' order by view"
    ).fetchall()
    assert values == [(0, 15.0), (1, 51.0)]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "maps.parquet").write_bytes(b"PAR1 no"), "cannot be read"),
        (
            lambda folder: (folder / "maps.parquet").write_bytes((folder / "checks.parquet").read_bytes()),
            "other columns",
        ),
        (
            lambda folder: write_heatmaps(Store(folder.parent), {**rows(), "samples": []}),
            "do not belong together",
        ),
    ],
)
def test_damaged_ones_are_named_and_skipped(tmp_path: Path, damage: Any, said: str) -> None:
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

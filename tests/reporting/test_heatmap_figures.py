"""The heat map figures from stored arrays: what stands where, and that the page takes them without torch."""

import io
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from study.evidence.heatmap_tables import ATTENTION, GRAD_CAM, write_heatmaps
from study.reporting.assembly import build_report, figure_names, files
from study.reporting.figure import draw
from study.reporting.overlays import FIGURES, RunHeatMaps, heat_over, heatmaps_of, share_words
from study.reporting.run import Run, load_run
from study.reporting.strips import some_samples
from study.spec import components
from tests.reporting.fake_run import HOSTILE, ODIR, fake_run

TRIALS = ("search-00001", "ablation-dmsnet_table3-osim-s0")
STEPS = ("head", "fusion", "backbone 2/2", "backbone 1/2")


def jpeg(level: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((60, 60, 3), level, np.uint8)).save(out, "JPEG")
    return out.getvalue()


def stored(run: Run, num_views: int = 2, likeness: float = 0.05, patient: str = "p") -> None:
    """Two trials' maps of four samples; the first trial has the second half of them wrong."""
    random = np.random.default_rng(0)
    rows: dict[str, list[dict[str, Any]]] = {"samples": [], "maps": [], "checks": []}
    for trial in TRIALS:
        maps = [(GRAD_CAM, label, "") for label in ODIR]
        if trial == TRIALS[0]:
            maps.append((ATTENTION, "fusion: place", ""))
        maps += [(GRAD_CAM, "D", step) for step in STEPS]
        for i in range(4):
            of_sample = {"trial": trial, "sample": f"test-{i}", "synthetic": run.synthetic}
            right = i < 2 or trial == TRIALS[1]
            rows["samples"].append({**of_sample, "patient": patient, **decisions(num_views, right=right)})
            for (method, name, step), view in product(maps, range(num_views)):
                row = {**of_sample, "view": view, "method": method, "name": name, "step": step}
                values = random.random(16).tolist()
                rows["maps"].append({**row, "height": 4, "width": 4, "values": values})
        for place, step in enumerate(STEPS):
            row = {"trial": trial, "place": place, "step": step, "synthetic": run.synthetic}
            rows["checks"].append({**row, "rank_correlation": likeness, "ssim": 0.2, "num_maps": 32})
    write_heatmaps(run.store, rows)


def decisions(num_views: int, *, right: bool) -> dict[str, Any]:
    """A sample that carries D, as a trial decides it."""
    truth = [int(label == "D") for label in ODIR]
    decided = [bool(t) and right for t in truth]
    return {
        "chosen": "random",
        "label": "D",
        "target": truth,
        "score": [0.9 if d else 0.1 for d in decided],
        "decided": decided,
        "images": [jpeg(100 + 50 * view) for view in range(num_views)],
    }


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = load_run(str(fake_run(tmp_path_factory.mktemp("heat") / "plain", num_search=3, patients=20)))
    stored(run)
    return run


def test_without_stored_maps_there_is_no_figure(run: Run) -> None:
    assert [draw(name, run) for name in FIGURES] == [None] * 5


def test_every_heat_map_figure_is_a_component_and_the_photographs_come_first() -> None:
    assert [name for name in components.names("figure") if name.startswith("heatmaps")] == sorted(FIGURES)
    assert figure_names()[-len(FIGURES) :] == list(FIGURES)
    assert sorted(figure_names()) == list(components.names("figure"))


@pytest.mark.parametrize("name", FIGURES)
def test_each_figure_is_svg_with_small_pictures_and_png(name: str, shown: Run) -> None:
    drawing = draw(name, shown)
    assert drawing is not None
    assert drawing.section == "heatmaps"
    assert drawing.png.startswith(b"\x89PNG")
    assert "data:image/png" not in drawing.svg
    assert len(drawing.svg) < 500_000
    assert drawing == draw(name, shown)


def test_right_ones_stand_before_wrong_ones_and_models_side_by_side(shown: Run) -> None:
    drawing = draw("heatmaps_samples", shown)
    assert drawing is not None
    assert drawing.svg.count("data:image/jpeg") == 4 * 2 * 3
    assert drawing.svg.count(">right<") == drawing.svg.count(">wrong<") == 2
    assert drawing.svg.index(">right<") < drawing.svg.index(">wrong<")
    assert ">search-00001<" in drawing.svg
    assert ">osim<" in drawing.svg
    assert "left eye" in drawing.svg


def test_some_samples_are_half_right_and_half_wrong(shown: Run) -> None:
    heatmaps = heatmaps_of(shown)
    assert heatmaps is not None
    assert [heatmaps.is_right(TRIALS[0], sample) for sample in some_samples(heatmaps)] == [
        True,
        True,
        False,
        False,
    ]
    assert [heatmaps.is_right(TRIALS[1], sample) for sample in some_samples(heatmaps)] == [True] * 4


def test_seven_networks_stand_side_by_side_each_with_its_own_line(tmp_path: Path) -> None:
    run = load_run(str(fake_run(tmp_path / "single", num_search=3, patients=20)))
    stored(run, num_views=1)
    heatmaps = heatmaps_of(run)
    assert heatmaps is not None
    maps, names = heatmaps.maps, [f"a_rather_long_name_{i}" for i in range(7)]

    def seven(table: pd.DataFrame) -> pd.DataFrame:
        first = table[table["trial"] == TRIALS[0]]
        return pd.concat([first.assign(trial=name) for name in names], ignore_index=True)

    many = replace(maps, samples=seven(maps.samples), maps=seven(maps.maps), checks=seven(maps.checks))
    data = RunHeatMaps(many, heatmaps.labels, {name: name for name in names}, "")
    (checks, _) = components.load("figure", "heatmaps_check")().draw(data).axes
    lines = [line for line in checks.lines if len(line.get_xdata()) > 2]
    looks = {(line.get_color(), line.get_linestyle()) for line in lines}
    assert [line.get_label() for line in lines] == names
    assert len(looks) == 7
    figure = components.load("figure", "heatmaps_samples")().draw(data)
    renderer = FigureCanvasAgg(figure).get_renderer()
    words = [text for text in figure.axes[0].texts if text.get_text() in names]
    places = [text.get_window_extent(renderer) for text in words]
    assert len(words) == 7
    assert all(left.x1 < right.x0 for left, right in pairwise(places))


def test_the_check_warns_of_maps_that_stay(shown: Run, tmp_path: Path) -> None:
    drawing = draw("heatmaps_check", shown)
    assert drawing is not None
    assert "0.05 for search-00001, 0.05 for osim" in drawing.caption
    assert "should not be read" not in drawing.caption
    run = load_run(str(fake_run(tmp_path / "same", num_search=3, patients=20)))
    stored(run, likeness=0.8)
    warned = draw("heatmaps_check", run)
    assert warned is not None
    assert (
        "The maps of search-00001, osim hardly depend on what was learnt and should not be read"
        in warned.caption
    )


def test_the_page_shows_them_and_says_synthetic(tmp_path: Path) -> None:
    run = load_run(
        str(fake_run(tmp_path / "hostile", num_search=3, patients=20, synthetic=True, hostile=True))
    )
    stored(run, patient=HOSTILE)
    report = build_report(run)
    mine = [drawing for drawing in report.drawings if drawing.name in FIGURES]
    assert len(mine) == 5
    assert all("SYNTHETIC" in drawing.svg for drawing in mine)
    found = files(report)
    page = found["index.html"].decode()
    assert '<section id="heatmaps">' in page
    assert page.count("<script") == 1
    assert {"figures/heatmaps_samples.svg", "figures/heatmaps_samples.png"} <= set(found)


def test_single_images_have_one_cell(tmp_path: Path) -> None:
    run = load_run(str(fake_run(tmp_path / "single", num_search=3, patients=20)))
    stored(run, num_views=1)
    drawing = draw("heatmaps_samples", run)
    assert drawing is not None
    assert drawing.svg.count("data:image/jpeg") == 4 * 3
    assert "left eye" not in drawing.svg
    assert "Both eyes" not in drawing.caption


def test_maps_of_trials_that_are_gone_are_not_shown(tmp_path: Path) -> None:
    run = load_run(str(fake_run(tmp_path / "gone", num_search=1, patients=20)))
    stored(run)
    assert heatmaps_of(run) is None


def test_heat_covers_the_hot_side_and_leaves_the_cold_one_grey() -> None:
    photo = np.full((40, 40, 3), 128, np.uint8)
    photo[:, :, 0] = 200
    seen = heat_over(photo, np.array([[0.0, 1.0], [0.0, 1.0]]), 1.0)
    cold, hot = seen[20, 2].astype(int), seen[20, 37].astype(int)
    assert cold.max() - cold.min() <= 1
    assert hot.max() - hot.min() > 60
    even = heat_over(photo, np.ones((2, 2)), 1.0, least=1.0)
    assert (even.max(2) - even.min(2)).max() <= 1


def test_shares_of_both_eyes_add_up() -> None:
    assert share_words({0: np.ones((2, 2)), 1: 3 * np.ones((2, 2))}) == {0: "25%", 1: "75%"}
    assert share_words({0: np.zeros((2, 2)), 1: np.zeros((2, 2))}) == {0: "no heat", 1: "no heat"}


def test_the_figures_need_no_torch(shown: Run) -> None:
    code = (
        "import sys; from study.reporting.run import load_run; from study.reporting.figure import draw;"
        f"assert draw('heatmaps_samples', load_run({shown.store.where!r})) is not None;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

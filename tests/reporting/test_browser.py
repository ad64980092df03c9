import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from study.reporting.assembly import Report, files
from study.reporting.patients_strip import data_uri, strip_samples
from study.reporting.side_by_side import side_by_side
from tests.reporting.browser import CHROMIUM, Tab, browser

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]

PICTURE = data_uri(Image.fromarray(np.full((144, 144, 3), 90, dtype=np.uint8)))
MEDIA_BOX = re.compile(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]")
ROWS = "[...document.querySelectorAll('#table-leaderboard tbody tr')]"


PAGES = ["plain", "hostile", "compared"]
MOST_BYTES = 3_000_000
A4_PX = 688  # of an A4 page between its margins of 14 mm, at 96 pixels an inch
BEYOND = (  # what a printed page would cut off
    "[...document.querySelectorAll('th, td, svg, img, p, figcaption')].filter(e => e.checkVisibility() && "
    f"e.getBoundingClientRect().right > {A4_PX} + 0.5).map(e => e.outerHTML.slice(0, 200))"
)
BROKEN = (  # numbers of tables that stand on two lines
    "[...document.querySelectorAll('td[data-value]')].filter(e => { const r = document.createRange(); "
    "r.selectNodeContents(e.querySelector('b') ?? e.firstChild); return r.getClientRects().length > 1; })"
    ".map(e => e.outerHTML.slice(0, 200))"
)
HEADINGS = "[...document.querySelectorAll('thead th')].filter(h => h.checkVisibility()).length"
UNFOLD = "document.querySelectorAll('details').forEach(d => d.open = true)"


@pytest.fixture(scope="module")
def pages(
    report: Report, hostile_report: Report, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    for name, made in (("plain", report), ("hostile", hostile_report)):
        pictures = dict.fromkeys(strip_samples(made.run), (PICTURE, PICTURE))
        (folder / f"{name}.html").write_bytes(files(made, pictures)["index.html"])
    compared = side_by_side([report.run, hostile_report.run])["compared.html"]
    (folder / "compared.html").write_bytes(compared)
    return {name: folder / f"{name}.html" for name in PAGES}


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [400, 800, 1400])
def test_the_page_is_small_and_whole_at_every_width_and_says_nothing(
    tab: Tab, pages: dict[str, Path], name: str, width: int
) -> None:
    assert pages[name].stat().st_size < MOST_BYTES
    tab.complaints.clear()
    tab.open(pages[name], width)
    assert tab.complaints == []
    assert tab.run("document.documentElement.scrollWidth") <= width
    assert tab.run(
        "[...document.querySelectorAll('section')].every(s => s.getBoundingClientRect().height > 80)"
    )
    assert tab.run(
        "[...document.querySelectorAll('.drawing svg')].filter(s => s.checkVisibility())"
        ".every(s => s.getBoundingClientRect().width > 200)"
    )
    assert tab.run("parseFloat(getComputedStyle(document.querySelector('section > p')).fontSize)") >= 16
    assert tab.run("document.querySelectorAll('script').length") == 1


def test_a_click_on_a_heading_sorts_and_a_second_one_turns_it(tab: Tab, pages: dict[str, Path]) -> None:
    tab.open(pages["plain"], 1400)
    column = f"{ROWS}.map(r => parseFloat(r.cells[5].dataset.value))"
    tab.run("document.querySelectorAll('#table-leaderboard thead button')[5].click()")
    falling = tab.run(column)
    assert falling == sorted(falling, reverse=True)
    tab.run("document.querySelectorAll('#table-leaderboard thead button')[5].click()")
    assert tab.run(column) == sorted(falling)
    assert (
        tab.run("document.querySelectorAll('#table-leaderboard thead th')[5].getAttribute('aria-sort')")
        == "ascending"
    )


def test_the_filter_keeps_the_rows_with_every_word(tab: Tab, pages: dict[str, Path]) -> None:
    tab.open(pages["plain"], 1400)
    typed = "i.value = 'difference resnet18'; i.dispatchEvent(new Event('input'));"
    tab.run(f"(() => {{ const i = document.querySelector('.filter input'); {typed} }})()")
    shown = tab.run(f"{ROWS}.filter(r => !r.hidden).map(r => r.textContent)")
    assert shown
    assert all("difference" in text and "resnet18" in text for text in shown)
    assert tab.run("document.querySelector('.filter span').textContent").startswith(f"{len(shown)} of ")


@pytest.mark.parametrize("name", PAGES)
def test_the_page_prints_on_a4_with_every_column(tab: Tab, pages: dict[str, Path], name: str) -> None:
    tab.open(pages[name], 1400)
    tab.run(UNFOLD)
    num_headings = tab.run(HEADINGS)
    pdf = tab.pdf()
    assert pdf.startswith(b"%PDF")
    assert 1 <= pdf.count(b"/Type /Page\n") <= 30
    sizes = {(round(float(width)), round(float(height))) for width, height in MEDIA_BOX.findall(pdf)}
    assert sizes == {(595, 842)}
    tab.call("Emulation.setEmulatedMedia", media="print")
    tab.open(pages[name], A4_PX)
    beyond, broken, printed = tab.run(BEYOND), tab.run(BROKEN), tab.run(HEADINGS)
    tab.call("Emulation.setEmulatedMedia", media="")
    assert beyond == []
    assert broken == []
    assert printed == num_headings > 0


def test_tables_that_were_not_run_open_at_a_click(tab: Tab, pages: dict[str, Path]) -> None:
    tab.open(pages["plain"], 1400)
    seen = "document.querySelector('#table-dmsnet_table1').checkVisibility()"
    assert tab.run(seen) is False
    tab.run("document.querySelector('#table-dmsnet_table1').closest('details').firstElementChild.click()")
    assert tab.run(seen) is True


@pytest.mark.parametrize(("width", "height"), [(1400, 900), (400, 800)])
def test_the_answer_its_numbers_the_network_and_the_patients_are_on_the_first_screen(
    tab: Tab, pages: dict[str, Path], width: int, height: int
) -> None:
    tab.open(pages["plain"], width, height)
    for what in (".answer", ".against", "table.numbers", "svg.network", ".strip"):
        box = tab.run(f"(() => {{ const b = document.querySelector('{what}').getBoundingClientRect();"
                      " return [b.left, b.right, b.bottom, b.width]; })()")  # fmt: skip
        assert box[0] >= 0, what
        assert box[1] <= width, what
        assert box[2] <= height, what
        assert box[3] > 250, what


@pytest.mark.parametrize("kind", [".scroll", ".drawing .svg"])
def test_wide_tables_and_figures_scroll_in_a_frame_that_shows_it(
    tab: Tab, pages: dict[str, Path], kind: str
) -> None:
    tab.open(pages["plain"], 400)
    frames = f"[...document.querySelectorAll('{kind}')].filter(f => f.checkVisibility())"
    tab.awaited("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    wide = tab.run(f"{frames}.filter(f => f.scrollWidth > f.clientWidth + 1).map(f => f.className)")
    assert wide
    assert all("cut" in name for name in wide)
    assert tab.run(f"{frames}.every(f => f.getBoundingClientRect().right <= 400)")


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script of axe-core, which checks a page for people who do not see it or use no mouse."""
    npm, folder = shutil.which("npm"), tmp_path_factory.mktemp("axe")
    if npm is None:
        pytest.skip("no npm on this machine")
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "axe-core@4.10.3"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"axe-core cannot be installed here: {done.stderr[-200:]}")
    return (folder / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_the_page_has_no_serious_barrier(
    tab: Tab, pages: dict[str, Path], axe: str, name: str, scheme: str, width: int
) -> None:
    media = [{"name": "prefers-color-scheme", "value": scheme}]
    tab.call("Emulation.setEmulatedMedia", features=media)
    tab.open(pages[name], width)
    tab.run(UNFOLD)
    tab.run(axe)
    found = tab.awaited("axe.run().then(r => JSON.stringify(r.violations.map(v => "
                        "[v.id, v.impact, v.nodes.length, v.nodes[0].html.slice(0, 200)])))")  # fmt: skip
    serious = [v for v in json.loads(found) if v[1] in ("serious", "critical")]
    assert serious == []

from collections.abc import Iterator
from pathlib import Path

import pytest

from study.reporting.assembly import Report, files
from tests.reporting.browser import CHROMIUM, Tab, browser

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]

ROWS = "[...document.querySelectorAll('#table-leaderboard tbody tr')]"


@pytest.fixture(scope="module")
def pages(
    report: Report, hostile_report: Report, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    for name, made in (("plain", report), ("hostile", hostile_report)):
        (folder / f"{name}.html").write_bytes(files(made)["index.html"])
    return {name: folder / f"{name}.html" for name in ("plain", "hostile")}


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.parametrize("name", ["plain", "hostile"])
@pytest.mark.parametrize("width", [400, 1400])
def test_the_page_is_whole_at_both_widths_and_says_nothing(
    tab: Tab, pages: dict[str, Path], name: str, width: int
) -> None:
    tab.complaints.clear()
    tab.open(pages[name], width)
    assert tab.complaints == []
    assert tab.run("document.documentElement.scrollWidth") <= width
    assert tab.run(
        "[...document.querySelectorAll('section')].every(s => s.getBoundingClientRect().height > 80)"
    )
    assert tab.run(
        "[...document.querySelectorAll('.drawing svg')].every(s => s.getBoundingClientRect().width > 200)"
    )
    assert tab.run("parseFloat(getComputedStyle(document.querySelector('main p')).fontSize)") >= 16
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


def test_the_page_prints(tab: Tab, pages: dict[str, Path]) -> None:
    tab.open(pages["plain"], 1400)
    pdf = tab.pdf()
    assert pdf.startswith(b"%PDF")
    assert 3 <= pdf.count(b"/Type /Page\n") <= 30


def test_tables_that_were_not_run_open_at_a_click(tab: Tab, pages: dict[str, Path]) -> None:
    tab.open(pages["plain"], 1400)
    seen = "document.querySelector('#table-dmsnet_table1').checkVisibility()"
    assert tab.run(seen) is False
    tab.run("document.querySelector('details summary').click()")
    assert tab.run(seen) is True

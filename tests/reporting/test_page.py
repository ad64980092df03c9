import re
from html.parser import HTMLParser

import pytest

from study.reporting.assembly import Report, build_report, files
from study.reporting.figure import Drawing
from study.reporting.page import SECTIONS
from study.reporting.run import Run, load_run
from study.reporting.summary import summary
from tests.reporting.fake_run import HOSTILE


class Reader(HTMLParser):
    """Elements with their attributes, and the text outside script and style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside not in ("script", "style"):
            self.words += data


def page_of(report: Report) -> str:
    return files(report)["index.html"].decode()


@pytest.fixture(scope="module")
def plain_page(report: Report) -> str:
    return page_of(report)


@pytest.fixture(scope="module")
def plain(plain_page: str) -> Reader:
    return Reader(plain_page)


@pytest.fixture(scope="module")
def nasty(hostile_report: Report) -> Reader:
    return Reader(page_of(hostile_report))


def test_every_section_with_something_in_it_is_there_once(plain: Reader) -> None:
    sections = [attrs["id"] for tag, attrs in plain.elements if tag == "section"]
    assert sections == [key for key in SECTIONS if key not in ("runs", "heatmaps")]


def test_drawings_made_elsewhere_get_their_section(run: Run) -> None:
    drawing = Drawing(
        name="heatmap",
        section="heatmaps",
        title="Heat maps",
        caption="Where the network looks.",
        svg="<svg></svg>",
        png=b"",
        synthetic=False,
    )
    page = page_of(Report(run, (), (drawing,)))
    assert '<section id="heatmaps">' in page
    assert "Where the network looks." in page


def test_faces_stand_beside_the_errors(report: Report) -> None:
    errors = report.table("errors")
    assert errors is not None
    sample = errors.rows[0].key
    page = files(report, {sample: ("data:image/jpeg;base64,AAAA",) * 2})["index.html"].decode()
    assert page.count('<img src="data:image/jpeg;base64,AAAA" alt="">') == 2
    assert f"<b>{sample}</b> is " in page


def test_nothing_is_loaded_from_elsewhere(plain: Reader) -> None:
    for tag, attrs in plain.elements:
        for name in ("src", "href", "data", "action", "xlink:href"):
            target = attrs.get(name) or "#"
            assert re.match("#|data:|(tables|figures)/[a-z0-9_]+[.][a-z]+$", target), (tag, target)
    policy = next(
        attrs["content"]
        for tag, attrs in plain.elements
        if attrs.get("http-equiv") == "Content-Security-Policy"
    )
    assert "default-src 'none'" in str(policy)


def test_ids_are_unique(plain: Reader) -> None:
    ids = [attrs["id"] for tag, attrs in plain.elements if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_text_from_data_stays_text(nasty: Reader) -> None:
    assert [tag for tag, _ in nasty.elements].count("script") == 1
    assert nasty.words.count(HOSTILE) >= 4


def test_synthetic_is_said_once_and_lies_over_the_page_and_its_figures(nasty: Reader, plain: Reader) -> None:
    assert nasty.words.replace("SYNTHETIC · ", "").count("SYNTHETIC computed on made-up images") == 1
    body = next(attrs for tag, attrs in nasty.elements if tag == "body")
    assert body["class"] == "synthetic"
    drawings = [attrs for tag, attrs in nasty.elements if tag == "figure" and attrs.get("class") == "drawing"]
    assert nasty.words.count("SYNTHETIC") >= len(drawings) > 10
    assert "SYNTHETIC" not in plain.words


def test_tables_that_no_trial_fills_wait_behind_a_click(plain_page: str) -> None:
    unfilled = plain_page.index("<summary>Tables of the papers that this study did not run")
    assert unfilled < plain_page.index('id="table-dmsnet_table1"')
    assert plain_page.index('id="table-dmsnet_table3"') < unfilled


def test_every_table_and_figure_is_a_file_too(report: Report) -> None:
    found = files(report)
    assert {f"tables/leaderboard.{end}" for end in ("md", "tex", "csv")} <= set(found)
    assert {"figures/history.svg", "figures/history.png"} <= set(found)
    assert list(found)[-1] == "index.html"


@pytest.mark.slow
def test_the_same_run_gives_the_same_files(run: Run, report: Report) -> None:
    assert files(build_report(load_run(run.store.where))) == files(report)


def test_the_summary_says_what_was_asked_and_found(run: Run) -> None:
    text = " ".join(summary(run))
    assert "Which fusion reads both eyes best?" in text
    assert "12 trials of the search ended (8 complete, 2 pruned, 2 failed)" in text
    assert f"The chosen trial is {run.best}" in text
    assert f"is {run.score(str(run.best), run.objective):.3f}" in text
    assert "The class prior reaches" in text
    assert "corrected for the choice it is" in text
    found = run.predictions(str(run.best))
    assert found is not None
    swapped = "with the eyes exchanged, a patient of the test split gets probabilities that differ by"
    assert f"{swapped} {found.score.mean() / 10:.3f}." in text
    profile = "Profile laptop was taken; it set training.epochs to 5; data.image_px to 96;"
    assert f"{profile} ablations.own to the variants a, b" in text
    assert "bundles.light to one of none, local." in text
    assert not re.search(r"nan|None", text)

import csv
import io
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from study.reporting import rendering
from study.reporting.table import Column, Published, Row, Table, Text, Value, VerdictCell, count
from study.reporting.table_view import table_view
from tests.reporting.fake_run import HOSTILE


@pytest.fixture
def table() -> Table:
    columns = (
        Column("what", f"What {HOSTILE}", words=True),
        Column("value", "κ"),
        Column("verdict", "Verdict", words=True),
    )
    rows = (
        Row(
            "ours",
            (
                Text(HOSTILE, notes=(f"note {HOSTILE}",)),
                Value(value=-0.25, low=-0.5, high=0.125, spread=0.01, bold=True),
                VerdictCell("not reproduced"),
            ),
        ),
        Row(
            "theirs",
            (Text("=1+1"), Published(0.869, derived=True, notes=("derived",)), Text("not run", quiet=True)),
            lead=False,
        ),
    )
    return Table(
        name="t",
        title=f"Title {HOSTILE}",
        columns=columns,
        rows=rows,
        caption=f"Caption {HOSTILE}",
        remarks=(f"Remark {HOSTILE}",),
        synthetic=True,
    )


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_escapes_every_text(table: Table) -> None:
    reader = Reader()
    reader.feed(table_view(replace(table, sortable=True)))
    assert "script" not in reader.tags
    assert reader.text.count(HOSTILE) == 6
    assert reader.tags.count("td") == 6
    assert "SYNTHETIC" in reader.text


def test_html_gives_the_full_value_to_the_sorting_script(table: Table) -> None:
    assert 'data-value="-0.25"' in table_view(table)
    assert "<b>−0.250</b>" in table_view(table)


def test_markdown_escapes_what_would_end_a_cell(table: Table) -> None:
    text = rendering.markdown(table)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [4, 4, 4, 4]
    assert "<script" not in text
    assert "**−0.250 ± 0.010 \\[−0.500 to 0.125\\]**" in text
    assert "SYNTHETIC" in text


def test_csv_keeps_precision_and_defuses_formulas(table: Table) -> None:
    rows = list(csv.DictReader(io.StringIO(rendering.comma_separated(table))))
    assert float(rows[0]["value"]) == -0.25
    assert [float(rows[0][f"value_{part}"]) for part in ("low", "high", "spread")] == [-0.5, 0.125, 0.01]
    assert rows[0]["what"] == HOSTILE
    assert rows[1]["what"] == "'=1+1"
    assert rows[1]["value"] == "0.869"
    assert {row["synthetic"] for row in rows} == {"yes"}


def test_latex_escapes_every_sign_that_means_something(table: Table) -> None:
    text = rendering.latex(table)
    assert r"\textless{}script\textgreater{}alert(\textquotedbl{}x\textquotedbl{})" in text
    assert (
        r"\& 100\%\_\$\#\{\textasciitilde{}\}\textasciicircum{}\textbackslash{} \textbar{}pipe\textbar{}"
        in text
    )
    assert r"\textbf{$-$0.250}" in text
    assert r"\toprule" in text
    assert "SYNTHETIC" in text


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX on this machine")
def test_latex_compiles_on_its_own(table: Table, tmp_path: Path) -> None:
    (tmp_path / "t.tex").write_text(rendering.latex(table))
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout


def test_latex_prints_no_more_rows_than_fit_on_a_page() -> None:
    rows = tuple(Row(str(i), (count(i),)) for i in range(100))
    text = rendering.latex(Table(name="t", title="T", columns=(Column("a", "A"),), rows=rows))
    assert text.count(r" \\") == rendering.MAX_LATEX_ROWS + 1
    assert "The first 60 of 100 rows" in text

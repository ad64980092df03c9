"""A table as Markdown, LaTeX, CSV and HTML. Every word that comes from data is escaped for its language."""

import csv
import io
import math
import re
from html import escape
from unicodedata import normalize

from study.reporting.table import Cell, Published, Table, Text, Value

SYNTHETIC = "SYNTHETIC: computed on made-up images, not on patients."
MAX_LATEX_ROWS = 60  # a LaTeX table has to fit on a page
MAX_ROWS_WITHOUT_SCROLLING = 40  # a longer table of the page scrolls in a box of its own
LATEX_SIGNS = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "κ": r"$\kappa$",
    "≈": r"$\approx$",
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
    "×": r"$\times$",
    "…": r"\ldots{}",
    "²": r"\textsuperscript{2}",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "Δ": r"$\Delta$",
    "→": r"$\rightarrow$",
    "’": "'",
    "·": r"$\cdot$",
}
OTHER_SCRIPT = re.compile(r"[^\u0000-\u024f]+")
FORMULA_SIGNS = ("=", "+", "-", "@")
TEST_PARTS = ("p", "p_holm", "against", "test", "bold")
LATEX_PREAMBLE = r"""\documentclass[10pt]{article}
\usepackage{iftex}
\ifPDFTeX
  \usepackage[T1]{fontenc}
  \usepackage{lmodern}
  \newcommand{\otherscript}[1]{?}  % typeset with xelatex or lualatex to see these words
\else
  \usepackage{fontspec}
  \newcommand{\otherfont}{}
  \IfFontExistsTF{SimSun}{\newfontfamily\simsun{SimSun}\renewcommand{\otherfont}{\simsun}}{}
  \IfFontExistsTF{Noto Sans CJK SC}{\newfontfamily\noto{Noto Sans CJK SC}\renewcommand{\otherfont}{\noto}}{}
  \newcommand{\otherscript}[1]{{\otherfont #1}}
\fi
\usepackage{textcomp}
\usepackage{booktabs}
\usepackage{graphicx}
\usepackage[a4paper,landscape,margin=15mm]{geometry}
\setlength{\belowcaptionskip}{6pt}
\pagestyle{empty}
"""


def caption(table: Table) -> str:
    """The caption, after the stamp where the numbers are synthetic."""
    return " ".join(part for part in (SYNTHETIC if table.synthetic else "", table.caption) if part)


def marks(table: Table, cell: Cell) -> str:
    """The cell's footnote letters."""
    return ",".join(table.marks[note] for note in cell.notes)


def plain(cell: Cell) -> str:
    """The cell in one line: `0.541 ± 0.012 [0.501 to 0.580]`."""
    if not isinstance(cell, Value):
        return cell.text
    interval = f"[{cell.interval}]" if cell.interval else ""
    return " ".join(part for part in (cell.text, cell.spread_text, interval) if part)


def markdown(table: Table) -> str:
    """GitHub's pipe table with the title above and the notes below."""
    lines = [f"### {_md(table.title)}", ""]
    if caption(table):
        lines += [_md(caption(table)), ""]
    lines.append("| " + " | ".join(_md(column.title) for column in table.columns) + " |")
    lines.append("|" + "|".join(":---" if column.words else "---:" for column in table.columns) + "|")
    for row in table.rows:
        lines.append("| " + " | ".join(_md_cell(table, cell) for cell in row.cells) + " |")
    notes = [_md(remark) for remark in table.remarks]
    notes += [f"<sup>{mark}</sup> {_md(note)}" for note, mark in table.marks.items()]
    return "\n".join([*lines, "", *[f"{note}  " for note in notes]]).rstrip() + "\n"


def _md_cell(table: Table, cell: Cell) -> str:
    text = _md(plain(cell))
    if isinstance(cell, Value) and cell.bold:
        text = f"**{text}**"
    return text + (f"<sup>{marks(table, cell)}</sup>" if cell.notes else "")


def _md(text: str) -> str:
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", escape(" ".join(text.split()), quote=False))


def latex(table: Table) -> str:
    """A document of its own: pdflatex turns it into one page, and its tabular can be taken out of it.

    Words in other than Latin letters need xelatex or lualatex; pdflatex shows a `?` in their place.
    """
    alignment = "".join("l" if column.words else "r" for column in table.columns)
    lines = [
        LATEX_PREAMBLE + r"\begin{document}",
        r"\begin{table}[h!]",
        r"\centering\small",
        rf"\caption{{\textbf{{{_tex(table.title)}.}} {_tex(caption(table))}}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{@{{}}{alignment}@{{}}}}",
        r"\toprule",
        *_tex_rows(table),
        r"\bottomrule",
        r"\end{tabular}}",
        r"\par\medskip\begin{minipage}{\linewidth}\footnotesize\raggedright",
        *[line + r"\par" for line in _tex_notes(table)],
        r"\end{minipage}",
        r"\end{table}",
        r"\end{document}",
    ]
    return "\n".join(lines) + "\n"


def _tex_rows(table: Table) -> list[str]:
    """The headings, where there are any, and the rows, with a gap before each group of several rows."""
    titles = [_tex(column.title) for column in table.columns]
    lines = [" & ".join(titles) + r" \\", r"\midrule"] if any(titles) else []
    for i, row in enumerate(table.rows[:MAX_LATEX_ROWS]):
        if i and row.lead and not table.rows[i - 1].lead:
            lines.append(r"\addlinespace")
        lines.append(" & ".join(_tex_cell(table, cell) for cell in row.cells) + r" \\")
    return lines


def _tex_notes(table: Table) -> list[str]:
    notes = list(map(_tex, table.remarks))
    notes += [rf"\textsuperscript{{{mark}}} {_tex(note)}" for note, mark in table.marks.items()]
    if len(table.rows) <= MAX_LATEX_ROWS:
        return notes
    return [_tex(f"The first {MAX_LATEX_ROWS} of {len(table.rows)} rows; the CSV file has all."), *notes]


def _tex_cell(table: Table, cell: Cell) -> str:
    text = _tex(cell.text)
    if isinstance(cell, Value):
        text = rf"\textbf{{{text}}}" if cell.bold else text
        text += f" {{\\scriptsize {_tex(cell.spread_text)}}}" if cell.spread_text else ""
        text += f" {{\\scriptsize [{_tex(cell.interval.replace(' to ', ', '))}]}}" if cell.interval else ""
    elif isinstance(cell, Text) and cell.quiet:
        text = rf"\textit{{{text}}}"
    return text + (rf"\textsuperscript{{{marks(table, cell)}}}" if cell.notes else "")


def _tex(text: str) -> str:
    signs = "".join(LATEX_SIGNS.get(sign, sign) for sign in normalize("NFC", " ".join(text.split())))
    return OTHER_SCRIPT.sub(r"\\otherscript{\g<0>}", signs)


def comma_separated(table: Table) -> str:
    """One line for each row at full precision.

    A column with numbers of ours brings their intervals and spreads in columns of their own, and their tests
    where some were tested.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    places = range(len(table.columns))
    measured = [any(isinstance(row.cells[i], Value) for row in table.rows) for i in places]
    tested = [any(isinstance(c := row.cells[i], Value) and c.tested for row in table.rows) for i in places]
    header = ["row"]
    for column, has_values, has_tests in zip(table.columns, measured, tested, strict=True):
        key = _no_formula(column.key)
        header.append(key)
        if has_values:
            header += [f"{key}_{part}" for part in ("low", "high", "spread")]
        if has_tests:
            header += [f"{key}_{part}" for part in TEST_PARTS]
    writer.writerow([*header, *(["synthetic"] if table.synthetic else [])])
    for row in table.rows:
        fields = [_no_formula(row.key)]
        for cell, has_values, has_tests in zip(row.cells, measured, tested, strict=True):
            fields += _csv_fields(cell) if has_values else [_csv_text(cell)]
            fields += _csv_test(cell) if has_tests else []
        writer.writerow([*fields, *(["yes"] if table.synthetic else [])])
    return out.getvalue()


def _csv_fields(cell: Cell) -> list[str]:
    if not isinstance(cell, Value):
        return [_csv_text(cell), "", "", ""]
    numbers = (cell.value, cell.low, cell.high, cell.spread)
    return ["" if math.isnan(number) else repr(float(number)) for number in numbers]


def _csv_test(cell: Cell) -> list[str]:
    """The p-value before and after Holm's correction, the row compared with, the test, and bold or not."""
    if not isinstance(cell, Value):
        return [""] * len(TEST_PARTS)
    bold, of = "yes" if cell.bold else "", cell.tested
    if of is None:
        return ["", "", "", "", bold]
    return [repr(of.p_value), repr(of.adjusted), _no_formula(of.against), of.test, bold]


def _csv_text(cell: Cell) -> str:
    return repr(float(cell.value)) if isinstance(cell, Published) else _no_formula(cell.text)


def _no_formula(text: str) -> str:
    """The words on one line, with a `'` before what a spreadsheet would work out; numbers stay numbers."""
    text = " ".join(text.split())
    is_number = re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?", text)
    return f"'{text}" if text[:1] in FORMULA_SIGNS and not is_number else text

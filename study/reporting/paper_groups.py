"""Tables of papers with a group of lines for each row: ours, the published numbers, and the comparison."""

import math
from dataclasses import replace

from study.evidence.statistics.verdict import TOLERANCE, verdict_on
from study.reporting.anomalies import anomalies
from study.reporting.deciding import paper_sentence
from study.reporting.estimates import estimates_of
from study.reporting.paper_rows import published_cell
from study.reporting.papers import NeighbourRule, PaperMetric, PaperTable
from study.reporting.results import paired_difference, row_collapse_words
from study.reporting.row_trials import CHOSEN, RowTrials, base_trials, chosen_neighbours, row_trials
from study.reporting.run import Run
from study.reporting.significance import with_bold
from study.reporting.table import NOTHING, Cell, Column, Published, Row, Table, Text, Value, VerdictCell
from study.reporting.tuning import tuning_remarks
from study.spec.wording import MISSING


def compared_table(run: Run, paper: PaperTable) -> Table | None:
    """The table, with a group for each row of the paper and of ours, whether it was run or not.

    Returns:
        None for data of another kind, unless the study has an ablation that is named like the table.
    """
    variants = _our_variants(run, paper)
    if paper.kind != run.kind and not variants and not _has_trials(run, paper.ablation):
        return None
    ours = [*variants, *([CHOSEN] if paper.with_chosen and run.best else [])]
    groups = {key: _our_line(run, paper, key) for key in (*paper.rows, *ours)}
    reference = _reference(paper, groups)
    rows: list[Row] = []
    for key, line in groups.items():
        rows += _group(run, paper, key, line, groups.get(reference))
    columns = [Column("row", "", words=True), Column("line", "", words=True)]
    columns += [Column(key, metric.label, help=_help(metric)) for key, metric in paper.metrics.items()]
    table = Table(
        name=paper.name,
        title=paper.heading,
        columns=tuple(columns),
        rows=tuple(rows),
        caption=_caption(run, paper),
        remarks=_remarks(run, paper),
        synthetic=run.synthetic,
    )
    if not reference:
        return table
    others = [key for key in groups if key != reference]
    return with_bold(run, table, reference, others, groups[reference].cells[0].text)


def _has_trials(run: Run, ablation: str) -> bool:
    return bool((run.of_role("ablation")["table"] == ablation).any())


def _our_variants(run: Run, paper: PaperTable) -> list[str]:
    """Variants of the ablation that the paper has no row for."""
    if paper.rows_are != "variants":
        return []
    trials = run.of_role("ablation")
    asked = run.study["ablations"].get(paper.ablation, ())
    variants = dict.fromkeys([*asked, *trials[trials["table"] == paper.ablation]["variant"]])
    return [variant for variant in variants if variant not in paper.rows]


def _our_line(run: Run, paper: PaperTable, key: str) -> Row:
    found = row_trials(run, paper, key)
    label = "chosen trial" if key == CHOSEN else key
    if key in paper.rows:
        label = paper.rows[key].label
    return _line(key, label, "ours", _cells(run, paper, found), found.words)


def _cells(run: Run, paper: PaperTable, found: RowTrials) -> list[Cell]:
    return found.cells(run, [(m.measure, m.decision, label_of(run, m)) for m in paper.metrics.values()])


def label_of(run: Run, metric: PaperMetric) -> str:
    """The label whose own value stands in the column; empty for an aggregate."""
    place = metric.class_index
    return run.labels[place] if place is not None and place < len(run.labels) else ""


def _reference(paper: PaperTable, groups: dict[str, Row]) -> str:
    """The paper's own proposal where we ran it, else our first row; empty where we ran none."""
    run_rows = [key for key, row in groups.items() if any(isinstance(cell, Value) for cell in row.cells)]
    return paper.reference if paper.reference in run_rows else next(iter(run_rows), "")


def _group(run: Run, paper: PaperTable, key: str, ours: Row, reference: Row | None) -> list[Row]:
    cells = list(ours.cells[2:])
    notes = anomalies(paper, key) if key in paper.rows else {}
    theirs = [published_cell(paper, key, metric, notes.get(metric, "")) for metric in paper.metrics]
    lines = [ours]
    if (chosen := chosen_neighbours(run, paper, key)).trials:
        lines.append(_line(f"{key}.chosen", "", "ours", _cells(run, paper, chosen), chosen.words))
    lines.append(_line(f"{key}.published", "", "published", theirs, _why_unknown(paper, key)))
    pairs = list(zip(cells, theirs, strict=True))
    differences = [_difference(mine, published) for mine, published in pairs]
    if any(isinstance(cell, Value) for cell in differences):
        verdicts = [_verdict(run, paper, mine, published) for mine, published in pairs]
        if not _comparable(run, paper):
            verdicts = [VerdictCell("cannot tell")] * len(pairs)
        lines.append(_line(f"{key}.difference", "", "difference", differences))
        lines.append(_line(f"{key}.verdict", "", "verdict", verdicts))
    if reference is not None and reference.key != key:
        against = [_against(run, a, b) for a, b in zip(cells, reference.cells[2:], strict=True)]
        if any(isinstance(cell, Value) for cell in against):
            fallen = ", which collapsed" if row_collapse_words(run, reference) else ""
            title = f"ours against {reference.cells[0].text}{fallen}"
            lines.append(_line(f"{key}.against", "", title, against))
    return lines


def _why_unknown(paper: PaperTable, key: str) -> str:
    """Why a group has no published number at all; empty where it has one."""
    if key not in paper.rows:
        return "no such row"
    return "" if paper.rows[key].values else "not known to us"


def _line(key: str, label: str, name: str, cells: list[Cell], words: str = "") -> Row:
    """A line of a group.

    Where all of its cells only repeat one word, the word stands once, beside the line's name.
    """
    first = cells[0]
    if isinstance(first, Text | VerdictCell) and all(cell == first for cell in cells):
        title = Text(f"{name}: {words or first.text}", notes=first.notes, quiet=True)
        return Row(key, (Text(label), title, *[NOTHING] * len(cells)), lead=bool(label))
    title = Text(f"{name}, {words}" if words else name)
    return Row(key, (Text(label), title, *cells), lead=bool(label))


def _difference(mine: Cell, theirs: Cell) -> Cell:
    """Ours less theirs; the published number counts as exact, so that the interval only moves."""
    if not isinstance(mine, Value) or not isinstance(theirs, Published) or math.isnan(mine.value):
        return NOTHING
    return Value(
        value=mine.value - theirs.value,
        low=mine.low - theirs.value,
        high=mine.high - theirs.value,
        signed=True,
        origin=replace(mine.origin, less=theirs.value) if mine.origin else None,
    )


def _verdict(run: Run, paper: PaperTable, mine: Cell, theirs: Cell) -> Cell:
    if not isinstance(mine, Value) or not isinstance(theirs, Published) or mine.origin is None:
        return NOTHING
    found = estimates_of(run).of(mine.origin)
    tested = estimates_of(run).predictions(mine.origin, mine.origin.trials[0])
    if found is None or tested is None:
        return VerdictCell("cannot tell")
    verdict = verdict_on(theirs.value, found, len(set(tested.patient)), paper.num_test)
    return VerdictCell(verdict.conclusion, verdict.patients if verdict.conclusion == "cannot tell" else 0)


def _comparable(run: Run, paper: PaperTable) -> bool:
    """Whether our numbers were measured on the paper's data."""
    return not run.synthetic and run.study["dataset"] == paper.dataset


def _against(run: Run, mine: Cell, reference: Cell) -> Cell:
    """The paired difference from the reference row."""
    if not isinstance(reference, Value) or reference.origin is None:
        return NOTHING
    return paired_difference(run, mine, reference.origin)


def _help(metric: PaperMetric) -> str:
    return f"ours: {metric.measure.replace('_', ' ')}" if metric.measure else ""


def _caption(run: Run, paper: PaperTable) -> str:
    published = f"Published: {paper.citation}; {paper.data}; split: {paper.split}."
    ours = f"Ours: {run.study['dataset']}, test split, no patient in two splits"
    decisions = paper_sentence(run, paper)
    if paper.rows_are == "variants":
        return f"{published} {ours}.{decisions}"
    network = f"the paper's own network ({paper.network} of {paper.ablation})"
    base = base_trials(run, paper)
    if not base:
        return f"{published} Ours: none, since this study did not train {network}."
    return f"{published} {ours}, on the embedding of {base[0]}, {network} with its first seed.{decisions}"


def _neighbours(rule: NeighbourRule) -> str:
    """How the neighbours of ours are found, and what the line beside them is."""
    number = f"the {rule.k} nearest" if rule.k else "as many of the nearest as the row says"
    ties = {"first": "the first class wins", "distance": "the smaller summed distance wins"}[rule.ties]
    return (
        f"Where the paper decides by nearest neighbours, ours are {number}, by {rule.distance} distance with "
        f"{rule.votes} votes; of equal votes {ties}. The line “K chosen” has the number, distance and votes "
        "that were best on validation."
    )


def _remarks(run: Run, paper: PaperTable) -> tuple[str, ...]:
    found = [f"Published numbers: {paper.source}."]
    if any(len(row.values) not in (0, len(paper.metrics)) for row in paper.rows.values()):
        found.append(f"{MISSING} not known to us.")
    found.append(
        "With each number of ours: its 95 % interval over patients, and over seeds where there are several; "
        "± is the standard deviation over seeds."
    )
    if _comparable(run, paper):
        found.append(
            f"Verdict: equivalence test at 5 % with a tolerance of {TOLERANCE:.2f}. Both numbers have an "
            "error: the published one is taken for one training of ours, on as many patients as the paper "
            "tested."
        )
    else:
        found.append("No verdict can be given, because ours were not measured on the paper's images.")
    found += tuning_remarks(run, paper.ablation)
    if paper.neighbours is not None:
        found.append(_neighbours(paper.neighbours))
    if run.study["profile_changes"]:
        found.append(
            f"Ours are of the profile {run.study['profile']}, which changes networks, images or training; "
            "the summary says what it sets."
        )
    found += [f"Differs: {paper.differs}", *paper.remarks]
    if paper.our_choices:
        found.append(f"Not stated in the paper, our choice: {' '.join(paper.our_choices)}")
    return tuple(found)

"""Tables of papers with one line for each row: listed results, counts of samples, and costs of networks."""

from collections.abc import Mapping

import pandas as pd

from study.reporting.deciding import paper_sentence
from study.reporting.measures import short_name
from study.reporting.papers import PaperTable
from study.reporting.results import measured
from study.reporting.row_trials import RowTrials, row_trials
from study.reporting.run import Run
from study.reporting.table import UNKNOWN, Cell, Column, Origin, Published, Row, Table, Text, Value, count
from study.spec.wording import MISSING, component_name


def listed_table(run: Run, paper: PaperTable) -> Table | None:
    """The chosen trial and the class prior above the published rows; None for other data than the paper's."""
    if run.best is None or run.kind != paper.kind or run.study["dataset"] != paper.dataset:
        return None
    rows = [_our_row(run, paper, "ours", f"this study, chosen trial ({run.best})", run.best)]
    if prior := run.baseline("prior"):
        rows.append(_our_row(run, paper, "ours_prior", "this study, class prior", prior))
    columns = [Column("work", "", words=True)]
    columns += [Column(key, m.label, help=short_name(m.measure)) for key, m in paper.metrics.items()]
    return Table(
        name=paper.name,
        title=paper.title,
        columns=tuple(columns),
        rows=(*rows, *_published_rows(paper)),
        caption=(f"Ours: {paper.dataset}, test split. Published: {paper.split}.{paper_sentence(run, paper)}"),
        remarks=(f"Published numbers: {paper.source}. {MISSING} not known to us.", *paper.remarks),
        synthetic=run.synthetic,
    )


def _our_row(run: Run, paper: PaperTable, key: str, title: str, trial: str) -> Row:
    origins = [
        Origin(trials=(trial,), measure=metric.measure, decision=metric.decision)
        for metric in paper.metrics.values()
    ]
    return Row(key, (Text(title), *(measured(run, origin) for origin in origins)))


def counts_table(run: Run, paper: PaperTable) -> Table | None:
    """Published numbers of samples of each class, and ours below; None for data with other classes."""
    classes = [m for m in paper.metrics.values() if m.class_index is not None]
    if run.kind != paper.kind or len(run.labels) != len(classes):
        return None
    under = [f"{run.labels[m.class_index]} under {m.label}" for m in classes if m.class_index is not None]
    ours = Row("ours", (Text(f"ours ({run.study['dataset']})"), *_our_counts(run, paper)))
    columns = [Column("set", "", words=True)]
    columns += [Column(key, metric.label) for key, metric in paper.metrics.items()]
    return Table(
        name=paper.name,
        title=paper.heading,
        columns=tuple(columns),
        rows=(*_published_rows(paper), ours),
        caption=f"Published: {paper.citation}. Ours: {run.study['dataset']}, with {' and '.join(under)}.",
        remarks=(f"Published numbers: {paper.source}.", f"{MISSING} not known to us.", *paper.remarks),
        synthetic=run.synthetic,
    )


def _our_counts(run: Run, paper: PaperTable) -> list[Cell]:
    """Samples of all splits of the class of each metric, or of all classes."""
    splits: Mapping[str, Mapping[str, int]] = run.study["split_counts"]
    cells: list[Cell] = []
    for metric in paper.metrics.values():
        labels = run.labels if metric.class_index is None else [run.labels[metric.class_index]]
        cells.append(count(sum(counts.get(label, 0) for counts in splits.values() for label in labels)))
    return cells


def costs_table(run: Run, paper: PaperTable) -> Table | None:
    """Structure, size and cost of our network of each row; None where none was trained."""
    trained = {key: row_trials(run, paper, key) for key in paper.rows}
    if not any(found.trials for found in trained.values()):
        return None
    columns = [Column("network", "", words=True), Column("branch", "Our branch", words=True)]
    columns += [Column(key, metric.label) for key, metric in paper.metrics.items()]
    rows = [
        Row(key, (Text(paper.rows[key].label), *_costs(run, paper, found))) for key, found in trained.items()
    ]
    return Table(
        name=paper.name,
        title=paper.heading,
        columns=tuple(columns),
        rows=tuple(rows),
        caption=f"Paper: {paper.citation}. Ours: the networks of `{paper.ablation}`.",
        remarks=(f"Published numbers: {paper.source}.", paper.differs, *paper.remarks),
        synthetic=run.synthetic,
    )


def _costs(run: Run, paper: PaperTable, found: RowTrials) -> list[Cell]:
    """Backbone and attention of the row's network, then its numbers."""
    if not found.trials:
        return [found.status] * (1 + len(paper.metrics))
    trial = found.trials[0]
    model = run.of_trial(trial, "spec")["model"]
    branch = ", ".join(component_name(model[part]) for part in ("backbone", "attention"))
    numbers = [(run.of_trial(trial, metric.measure), metric) for metric in paper.metrics.values()]
    return [
        Text(branch),
        *(
            UNKNOWN if pd.isna(number) else Value(value=float(number) / metric.unit, digits=metric.digits)
            for number, metric in numbers
        ),
    ]


def _published_rows(paper: PaperTable) -> list[Row]:
    return [
        Row(key, (Text(row.label), *(published_cell(paper, key, metric) for metric in paper.metrics)))
        for key, row in paper.rows.items()
    ]


def published_cell(paper: PaperTable, row: str, metric: str, note: str = "") -> Cell:
    """A published number, its derivation and a further note as footnotes; a dash where we do not know it."""
    number = paper.rows[row].values.get(metric) if row in paper.rows else None
    if number is None:
        return UNKNOWN
    notes = [f"Derived by us: {number.how}."] if number.derived else []
    if note:
        notes.append(note)
    return Published(
        number.value, derived=number.derived, digits=paper.metrics[metric].digits, notes=tuple(notes)
    )

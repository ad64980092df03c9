"""From a cell of a table back to the trials, predictions and settings behind it, and the proof that its number is theirs."""

import csv
import io
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from study.evidence.retrieval import HEAD as RETRIEVAL
from study.evidence.retrieval import is_retrieval
from study.evidence.statistics.comparison import Comparison
from study.reporting import rendering
from study.reporting.assembly import Report
from study.reporting.estimates import estimates_of
from study.reporting.measures import long
from study.reporting.page import table_html
from study.reporting.results import configuration, head_name
from study.reporting.run import Run
from study.reporting.table import Origin, Published, Table, Value
from study.spec.errors import SpecError, StorageError, suggest

TOLERANCE = 1e-9


@dataclass(frozen=True)
class Difference:
    """A number of a written report that the Parquet does not give."""

    where: str
    written: str
    computed: str


def why(report: Report, address: str) -> list[str]:
    """What is behind the cell `TABLE:ROW:COLUMN`, a line each.

    Raises:
        SpecError: there is no such table, row or column.
    """
    table, row, column = _find(report, address)
    cell = table.cell(row, column)
    lines = [f"{table.title}", f"{address} = {rendering.plain(cell) or 'empty'}", *cell.notes]
    if isinstance(cell, Published):
        lines.append(f"Published; see the remarks of {table.name} for its source.")
    elif isinstance(cell, Value) and cell.origin:
        lines += explain_origin(report.run, cell.origin)
    else:
        lines.append("Words or a count from the run's records; no predictions stand behind it.")
    return lines


def _find(report: Report, address: str) -> tuple[Table, str, str]:
    tables = {table.name: table for _, table in report.tables}
    name, _, rest = address.partition(":")
    row, _, column = rest.rpartition(":")
    if not row or not column:
        raise SpecError(
            f"`--why`: must be TABLE:ROW:COLUMN, got `{address}`. For example leaderboard:baseline-prior:validation."
        )
    for what, got, known in (
        ("table", name, tables),
        ("row", row, [r.key for r in tables[name].rows] if name in tables else []),
        ("column", column, [c.key for c in tables[name].columns] if name in tables else []),
    ):
        if got not in known:
            raise SpecError(f"`--why`: must name a {what} of the report, got `{got}`. {suggest(got, known)}")
    return tables[name], row, column


def explain_origin(run: Run, origin: Origin) -> list[str]:
    """The measure, the head, and one line a trial; the other side of a difference below."""
    found = estimates_of(run)
    rule = run.decided_by(origin.measure, origin.decision)
    lines = [
        f"measure    {origin.measure}: {long(origin.measure)}"
        + (f", label {origin.label}" if origin.label else ""),
        f"decisions  {rule}",
        f"mean of    {len(origin.trials)} training{'s' if len(origin.trials) > 1 else ''}, {origin.split} split",
    ]
    for trial in origin.trials:
        ranks, row = is_retrieval(origin.measure), run.trials.loc[trial]
        head = origin.head or run.own_head(trial)
        predictions = run.predictions(trial, split=origin.split, head=head, setting=origin.setting)
        count = (
            f"{len(predictions.sample)} samples of {len(set(predictions.patient))} patients"
            if predictions
            else "no predictions"
        )
        lines += [
            f"trial      {trial}: {found.point(origin, trial):.6f} ({RETRIEVAL if ranks else head_name(head, origin.setting)}; {count})",
            f"           seed {row['seed']}, fold {row['fold']}, best epoch {row['best_epoch']}, {row['device']}, ended {row['ended']}",
            f"           settings {_settings(run, trial)}",
            f"           commit {row['provenance'].get('commit', '')[:12] or 'unknown'}",
            f"           data {row['data_fingerprint'][:12]}, split {row['split_hash'][:12]}",
            f"           {run.store.where}/trials/{trial}/{'embeddings' if ranks else 'predictions'}.parquet",
        ]
    if origin.less:
        lines.append(f"less       {origin.less:.4f}, the published number")
    if origin.minus:
        compared = found.compared(origin, origin.minus)
        lines += ["", *_test(compared), "minus", *explain_origin(run, origin.minus)]
    return lines


def _settings(run: Run, trial: str) -> str:
    ablation = ": ".join(
        str(run.of_trial(trial, column)) for column in ("table", "variant") if run.of_trial(trial, column)
    )
    return configuration(run, trial) or ablation or "of the study file"


def _test(compared: Comparison | None) -> list[str]:
    return [f"paired     p = {compared.p_value:.4f}, before Holm's correction"] if compared else []


def verify(report: Report, written: Callable[[str], bytes]) -> tuple[int, list[Difference]]:
    """Computes every number of a written report again, from predictions where it has some, and compares.

    Args:
        report: built anew from the Parquet.
        written: the content of a file of the written report, by its path; raises StorageError where it is missing.

    Returns:
        how many numbers were compared, and the differences.
    """
    compared = 0
    differences: list[Difference] = []
    page = written("index.html").decode("utf-8", "replace")
    for _, table in report.tables:
        differences += _from_predictions(report.run, table)
        fresh = _fields(rendering.comma_separated(table))
        try:
            old = _fields(written(f"tables/{table.name}.csv").decode("utf-8", "replace"))
        except StorageError:
            differences.append(Difference(f"tables/{table.name}.csv", "missing", f"{len(fresh)} fields"))
            continue
        compared += sum(_is_number(value) for value in fresh.values())
        for key in dict.fromkeys([*fresh, *old]):
            if not _same(old.get(key, ""), fresh.get(key, "")):
                differences.append(
                    Difference(
                        f"{table.name}:{':'.join(key)}", old.get(key, "missing"), fresh.get(key, "missing")
                    )
                )
        differences += _other_formats(table, page, written)
    return compared, differences


def _from_predictions(run: Run, table: Table) -> Iterable[Difference]:
    """Measured cells whose value is not what the stored predictions give."""
    for row, column, cell in table.cells():
        if isinstance(cell, Value) and cell.origin and not math.isnan(cell.value):
            value = estimates_of(run).value(cell.origin)
            if not abs(value - cell.value) <= TOLERANCE:
                yield Difference(
                    f"{table.name}:{row.key}:{column.key}",
                    repr(cell.value),
                    f"{value!r} from the predictions",
                )


def _other_formats(table: Table, page: str, written: Callable[[str], bytes]) -> Iterable[Difference]:
    """The page, the Markdown and the LaTeX must show the very table."""
    if table_html(table) not in page:
        yield Difference(f"index.html: {table.name}", "differs", "see the table's CSV file")
    for end, fresh in (("md", rendering.markdown(table)), ("tex", rendering.latex(table))):
        name = f"tables/{table.name}.{end}"
        try:
            same = written(name) == fresh.encode()
        except StorageError:
            same = False
        if not same:
            yield Difference(name, "differs or is missing", "see the table's CSV file")


def _fields(text: str) -> dict[tuple[str, str], str]:
    """Every field of a written table by row and column."""
    return {
        (row["row"], column): value
        for row in csv.DictReader(io.StringIO(text))
        for column, value in row.items()
    }


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _same(old: str, new: str) -> bool:
    if _is_number(old) and _is_number(new):
        return abs(float(old) - float(new)) <= TOLERANCE * max(1.0, abs(float(new)))
    return old == new

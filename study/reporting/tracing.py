"""From a cell of a table back to the trials, predictions and settings behind it; a check of its number."""

import csv
import io
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from study.evidence.retrieval import RETRIEVAL, is_retrieval
from study.reporting import rendering
from study.reporting.assembly import Report, statements
from study.reporting.deciding import threshold_words
from study.reporting.estimates import estimates_of
from study.reporting.measures import full_name
from study.reporting.patient_groups import patient_groups
from study.reporting.results import configuration, head_name
from study.reporting.run import Run
from study.reporting.table import Origin, Published, Table, Value
from study.reporting.table_view import table_view
from study.spec.errors import SpecError, StorageError, suggest

TOLERANCE = 1e-9
EXAMPLE = "leaderboard:baseline-prior:validation"


@dataclass(frozen=True)
class Difference:
    """A number of a written report that the Parquet files do not give.

    Attributes:
        where: File, or address of the cell.
        written: What the report says.
        computed: What the Parquet files give.
    """

    where: str
    written: str
    computed: str


def why(report: Report, address: str) -> list[str]:
    """What is behind the cell `TABLE:ROW:COLUMN`, as lines.

    Raises:
        SpecError: There is no such table, row or column.
    """
    table, row, column = _find(report, address)
    cell = table.cell(row, column)
    lines = [f"{table.title}", f"{address} = {rendering.plain(cell) or 'empty'}", *cell.notes]
    if isinstance(cell, Published):
        lines.append(f"Published; see the remarks of {table.name} for its source.")
    elif isinstance(cell, Value) and cell.origin:
        lines += [*explain_origin(report.run, cell.origin), *_explain_test(cell)]
    else:
        lines.append("Words or a count from the run's records; no predictions stand behind it.")
    return lines


def _explain_test(cell: Value) -> list[str]:
    """The test of a number against its table's reference; nothing where there is none."""
    if cell.tested is None:
        return []
    of = cell.tested
    return [
        f"tested     against {of.against} by {of.test}",
        f"           p = {of.p_value:.3g}; {of.adjusted:.3g} after Holm's correction over "
        f"{of.num_comparisons} comparisons",
    ]


def _find(report: Report, address: str) -> tuple[Table, str, str]:
    """The table, the row and the column of an address."""
    tables = {table.name: table for _, table in report.tables}
    name, _, rest = address.partition(":")
    row, _, column = rest.rpartition(":")
    if not row or not column:
        raise SpecError(f"`--why`: must be TABLE:ROW:COLUMN, got `{address}`. For example {EXAMPLE}.")
    _require("table", name, tables)
    _require("row", row, [r.key for r in tables[name].rows])
    _require("column", column, [c.key for c in tables[name].columns])
    return tables[name], row, column


def _require(what: str, got: str, known: Iterable[str]) -> None:
    if got not in (names := list(known)):
        raise SpecError(f"`--why`: must name a {what} of the report, got `{got}`. {suggest(got, names)}")


def explain_origin(run: Run, origin: Origin) -> list[str]:
    """The measure, the decision rule and each trial of a number; what is subtracted from it stands below."""
    label = f", label {origin.label}" if origin.label else ""
    plural = "s" if len(origin.trials) > 1 else ""
    lines = [
        f"measure    {origin.measure}: {full_name(origin.measure)}{label}",
        f"decisions  {_decisions(run, origin)}",
        f"mean of    {len(origin.trials)} training{plural}, {origin.split} split",
    ]
    if origin.group:
        title = patient_groups(run)[origin.group].title
        lines.append(f"patients   {title}, by {run.store.where}/samples.parquet")
    for trial in origin.trials:
        lines += _explain_trial(run, origin, trial)
    if origin.less:
        lines.append(f"less       {origin.less:.4f}, the published number")
    if origin.minus:
        compared = estimates_of(run).compared(origin, origin.minus)
        test = [f"paired     p = {compared.p_value:.4f}, before Holm's correction"] if compared else []
        lines += ["", *test, "minus", *explain_origin(run, origin.minus)]
    return lines


def _decisions(run: Run, origin: Origin) -> str:
    """The rule under which the number is stored, and its thresholds in words."""
    rule = run.decided_by(origin.measure, origin.decision)
    has_thresholds = rule in ("tuned", "half")
    return f"{rule}, {threshold_words(run, origin.decision)}" if has_thresholds else rule


def _explain_trial(run: Run, origin: Origin, trial: str) -> list[str]:
    row = run.trials.loc[trial]
    head = origin.head or run.own_head(trial)
    head_words, file = head_name(head, origin.setting), "embeddings" if origin.setting else "predictions"
    if is_retrieval(origin.measure):
        head_words, file = RETRIEVAL, "embeddings"
    found = estimates_of(run).predictions(origin, trial)
    samples = (
        f"{len(found.sample)} samples of {len(set(found.patient))} patients" if found else "no predictions"
    )
    training = (
        f"seed {row['seed']}, fold {row['fold']}",
        f"best epoch {row['best_epoch']}",
        str(row["device"]),
        f"ended {row['ended']}",
    )
    value = estimates_of(run).point(origin, trial)
    return [
        f"trial      {trial}: {value:.6f} ({head_words}; {samples})",
        f"           {', '.join(training)}",
        f"           settings {_settings(run, trial)}",
        f"           commit {row['provenance'].get('commit', '')[:12] or 'unknown'}",
        f"           data {row['data_fingerprint'][:12]}, split {row['split_hash'][:12]}",
        f"           {run.store.where}/{run.store.packs.place(trial, file)}",
    ]


def _settings(run: Run, trial: str) -> str:
    """What the search chose, else the ablation and its variant."""
    names = [str(run.of_trial(trial, column)) for column in ("table", "variant")]
    return configuration(run, trial) or ": ".join(filter(None, names)) or "of the study file"


def verify(report: Report, written: Callable[[str], bytes]) -> tuple[int, list[Difference]]:
    """Computes every number of a written report again, from predictions where it has some, and compares.

    Args:
        report: The report, built anew from the Parquet files.
        written: Gives the content of a file of the written report by its path; raises StorageError where the
            file is missing.

    Returns:
        how many numbers were compared, and the differences.
    """
    num_compared = 0
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
        num_compared += sum(map(_is_number, fresh.values()))
        differences += _changed_fields(table.name, old, fresh)
        differences += _other_formats(table, page, written)
    differences += _changed_words(report, page)
    return num_compared, differences


def _changed_words(report: Report, page: str) -> Iterable[Difference]:
    """Sentences and numbers of the page outside of its tables that the records do not give."""
    for words in statements(report):
        if words not in page:
            yield Difference("index.html", "other words", " ".join(re.sub("<[^>]*>", " ", words).split()))


def _from_predictions(run: Run, table: Table) -> Iterable[Difference]:
    """Numbers that the stored predictions do not give."""
    for row, column, cell in table.cells():
        if isinstance(cell, Value) and cell.origin and not math.isnan(cell.value):
            value = estimates_of(run).value(cell.origin)
            if not abs(value - cell.value) <= TOLERANCE:
                where = f"{table.name}:{row.key}:{column.key}"
                yield Difference(where, repr(cell.value), f"{value!r} from the predictions")


Fields = dict[tuple[str, str], str]


def _fields(text: str) -> Fields:
    """Every field of a CSV file by row and column."""
    rows = csv.DictReader(io.StringIO(text))
    return {(row["row"], column): value for row in rows for column, value in row.items()}


def _changed_fields(table: str, old: Fields, fresh: Fields) -> Iterable[Difference]:
    for key in dict.fromkeys([*fresh, *old]):
        if not _same(old.get(key, ""), fresh.get(key, "")):
            where = f"{table}:{':'.join(key)}"
            yield Difference(where, old.get(key, "missing"), fresh.get(key, "missing"))


def _other_formats(table: Table, page: str, written: Callable[[str], bytes]) -> Iterable[Difference]:
    """The page, the Markdown and the LaTeX must show the very table."""
    if table_view(table) not in page:
        yield Difference(f"index.html: {table.name}", "differs", "see the table's CSV file")
    for end, fresh in (("md", rendering.markdown(table)), ("tex", rendering.latex(table))):
        name = f"tables/{table.name}.{end}"
        try:
            same = written(name) == fresh.encode()
        except StorageError:
            same = False
        if not same:
            yield Difference(name, "differs or is missing", "see the table's CSV file")


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _same(old: str, new: str) -> bool:
    if _is_number(old) and _is_number(new):
        return abs(float(old) - float(new)) <= TOLERANCE * max(1.0, abs(float(new)))
    return old == new

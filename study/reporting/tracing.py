"""From a cell of a table back to the trials, predictions and settings behind it."""

from collections.abc import Iterable

from study.evidence.retrieval import RETRIEVAL, is_retrieval
from study.reporting import rendering
from study.reporting.assembly import Report
from study.reporting.deciding import threshold_words
from study.reporting.estimates import estimates_of
from study.reporting.measures import full_name
from study.reporting.patient_groups import patient_groups
from study.reporting.results import configuration, head_name
from study.reporting.run import Run
from study.reporting.table import Origin, Published, Table, Value
from study.spec.errors import SpecError, suggest

EXAMPLE = "leaderboard:baseline-prior:validation"


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
        lines.append(f"patients   {title}, by {run.store.place('samples.parquet')}")
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
        f"           {run.store.place(run.store.packs.place(trial, file))}",
    ]


def _settings(run: Run, trial: str) -> str:
    """What the search chose, else the ablation and its variant."""
    names = [str(run.of_trial(trial, column)) for column in ("table", "variant")]
    return configuration(run, trial) or ": ".join(filter(None, names)) or "of the study file"

"""Checks of a run's records against each other, for `--verify`: ledger, split, truth, scores and values."""

import hashlib
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from study.evidence.decisions import HALF, decide
from study.evidence.ledger import broken_records
from study.evidence.plain_metrics import OF_DECISION, OF_SCORE, plain_mean
from study.evidence.predictions import Predictions, predictions_of
from study.evidence.run_tables import table_of_run
from study.evidence.score import tuned_thresholds
from study.reporting.estimates import estimates_of
from study.reporting.run import Run
from study.reporting.table import Origin
from study.spec.errors import StorageError

TOLERANCE = 1e-9


@dataclass(frozen=True)
class Difference:
    """Something of a report or of its records that is not as the other records give it.

    Attributes:
        where: File, record, or address of a cell.
        written: What stands there.
        computed: What the records give.
    """

    where: str
    written: str
    computed: str


def record_differences(run: Run) -> Iterator[Difference]:
    """Everything in the records of a run that other records contradict."""
    for broken in broken_records(run.store):
        yield Difference(broken.record, broken.was, broken.found)
    samples = table_of_run(run.store, "samples")
    yield from _split_differences(run, samples)
    for trial in run.trials.index[run.trials["state"] == "complete"]:
        yield from _value_differences(run, trial)
        found = predictions_of(run.store.read_table("predictions", [trial]))
        for part in found:
            yield from _truth_differences(run, part, samples)
        yield from _score_differences(run, found)


def _split_differences(run: Run, samples: pd.DataFrame) -> Iterator[Difference]:
    """The split must be the same in `split.csv`, in the samples, and in the hash that the study has."""
    recorded = str(run.study["split_hash"])
    facts = {"samples.parquet": samples[["sample", "patient", "split"]]}
    try:
        text = run.store.read_bytes("split.csv").decode("utf-8", "replace")
        facts["split.csv"] = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    except (StorageError, ValueError):
        yield Difference("split.csv", "missing or damaged", f"a split with the hash {recorded[:12]}")
    for name, rows in facts.items():
        found = _split_hash(rows)
        if found != recorded:
            yield Difference(name, f"a split with the hash {found[:12]}", f"{recorded[:12]} in study.parquet")
    if len(facts) > 1 and list(facts["split.csv"].get("patient", ())) != list(samples["patient"]):
        yield Difference("split.csv", "other patients", "see samples.parquet")


def _split_hash(rows: pd.DataFrame) -> str:
    """SHA-256 over samples and their splits, as `study.data.cohort.Cohort.split_hash`."""
    if not {"sample", "split"} <= set(rows.columns):
        return ""
    return hashlib.sha256(rows[["sample", "split"]].to_csv(index=False).encode()).hexdigest()


def _value_differences(run: Run, trial: str) -> Iterator[Difference]:
    """The validation value that decides the choice must be the one that the predictions give."""
    value = float(run.of_trial(trial, "value"))
    if math.isnan(value):
        return
    computed = estimates_of(run).point(Origin(trials=(trial,), measure=run.objective, split="val"), trial)
    if not _equal(value, computed):
        where = f"trials/{trial}/trial.parquet: value"
        yield Difference(where, repr(value), f"{computed!r} from the validation predictions")


def _truth_differences(run: Run, part: Predictions, samples: pd.DataFrame) -> Iterator[Difference]:
    """Samples, patients and labels of predictions must be those of `samples.parquet`.

    A trial of other data has no truth in that file; one of another fold has other samples in its splits.
    """
    if run.of_trial(part.trial, "data_fingerprint") != run.study["data_fingerprint"]:
        return
    where = f"trials/{part.trial}: {part.head}, {part.split}"
    facts = samples.set_index("sample")
    if unknown := [sample for sample in part.sample if sample not in facts.index]:
        yield Difference(where, f"sample {unknown[0]}", "no such sample in samples.parquet")
        return
    if run.of_trial(part.trial, "split_hash") == run.study["split_hash"]:
        yield from _membership_differences(where, part, facts)
    of_part = facts.loc[list(part.sample)]
    if list(of_part["patient"]) != list(part.patient):
        yield Difference(where, "other patients", "see samples.parquet")
    truth = [[-1 if math.isnan(v) else int(v) for v in target] for target in of_part["target"]]
    wrong = np.flatnonzero((np.array(truth, dtype=np.int8) != part.target).any(axis=1))
    if len(wrong):
        first = part.sample[wrong[0]]
        yield Difference(
            where,
            f"labels {part.target[wrong[0]].tolist()} of {first}",
            f"{truth[wrong[0]]} in samples.parquet ({len(wrong)} samples differ)",
        )


def _membership_differences(where: str, part: Predictions, facts: pd.DataFrame) -> Iterator[Difference]:
    """All samples of the split with known labels must be there, and none of another split."""
    mine = facts[facts["split"] == part.split]
    known = {str(name) for name, target in mine["target"].items() if not any(map(math.isnan, target))}
    if foreign := set(part.sample) - set(mine.index):
        yield Difference(where, f"sample {min(foreign)}", "of another split by samples.parquet")
    if lost := known - set(part.sample):
        yield Difference(
            where, f"{len(lost)} samples are missing", f"{min(lost)} and more by samples.parquet"
        )


def _score_differences(run: Run, found: Sequence[Predictions]) -> Iterator[Difference]:
    """AUC, average precision, F1 and kappa, computed in another way, must be the stored scores."""
    val = {part.head: part for part in found if part.split == "val"}
    for part in found:
        known = part.known()
        if not known.sample:
            continue
        scores = _plain_scores(run, known, val.get(part.head))
        for (rule, measure, label), value in scores.items():
            stored = run.score(
                part.trial,
                measure,
                split=part.split,
                decision="half" if rule == "half" else "tuned",
                head=part.head,
                label=label,
            )
            if not _equal(stored, value):
                where = f"trials/{part.trial}: {part.head}, {part.split}, {measure} {label}".rstrip()
                yield Difference(where, repr(stored), f"{value!r} from the predictions, in plain loops")


def _plain_scores(
    run: Run, part: Predictions, val: Predictions | None
) -> Mapping[tuple[str, str, str], float]:
    """The main metrics by decision rule, name and label; the macro ones stand under an empty label."""
    target = part.target.astype(bool).T.tolist()
    scores = part.score.astype(float).T.tolist()
    found = {
        ("none", name): [metric(t, s) for t, s in zip(target, scores, strict=True)]
        for name, metric in OF_SCORE.items()
    }
    for rule, thresholds in _thresholds(run, val).items():
        decided = decide(part.score, run.kind, thresholds).T.tolist()
        for name, of_decision in OF_DECISION.items():
            found[rule, name] = [of_decision(t, d) for t, d in zip(target, decided, strict=True)]
    by_label = {
        (rule, name, label): value
        for (rule, name), values in found.items()
        for label, value in zip(run.labels, values, strict=True)
    }
    return by_label | {(rule, f"macro_{name}", ""): plain_mean(v) for (rule, name), v in found.items()}


def _thresholds(run: Run, val: Predictions | None) -> Mapping[str, float | np.ndarray]:
    """The thresholds of each decision rule."""
    if run.kind != "multilabel":
        return {"argmax": HALF}
    return {"half": HALF} | ({"tuned": tuned_thresholds(val, run.thresholds)} if val is not None else {})


def _equal(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or abs(a - b) <= TOLERANCE

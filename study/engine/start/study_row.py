"""What a run folder says about its study as a whole.

It is in `study.parquet`, `study.yaml`, `split.csv` and `samples.parquet`.
"""

import json
import math
from dataclasses import asdict

import yaml

from study.data.cohort import Cohort
from study.data.findings import findings_of
from study.engine.start.preparing import Prepared
from study.evidence.predictions import UNKNOWN
from study.evidence.records import Row
from study.evidence.run_tables import write_run_table
from study.evidence.store import Store
from study.spec.resolve import Resolved


def write_study(store: Store, resolved: Resolved, prepared: Prepared, extensions: str) -> None:
    """Writes the row of the study, the resolved study file, the split, and the facts of the samples.

    The split can be edited and given back as `data.split.file`.

    Args:
        store: The run.
        resolved: The study.
        prepared: What is known of the study before its first trial.
        extensions: JSON of every extension of the run.
    """
    store.write_study(_row(resolved, prepared, extensions))
    data = json.loads(json.dumps(resolved.data, default=str))
    store.write_bytes("study.yaml", yaml.safe_dump(data, sort_keys=False).encode())
    split = prepared.cohort.assignment.to_csv(index=False, lineterminator="\n")
    store.write_bytes("split.csv", split.encode())
    write_run_table(store, "samples", _sample_rows(prepared.cohort))


def _sample_rows(cohort: Cohort) -> list[Row]:
    """Rows of SAMPLES."""
    pairs = cohort.pairs
    rows: list[Row] = []
    facts = zip(
        pairs.table.to_dict("records"),
        cohort.assignment["split"],
        findings_of(pairs),
        pairs.targets.tolist(),
        strict=True,
    )
    for sample, split, findings, target in facts:
        row: Row = {
            "sample": sample["sample"],
            "patient": sample["patient"],
            "split": split,
            "age": None if math.isnan(sample["age"]) else sample["age"],
            "sex": sample["sex"] or None,
            "findings": findings,
            "target": [None if value == UNKNOWN else value for value in target],
            "synthetic": pairs.synthetic,
        }
        rows.append(row)
    return rows


def _row(resolved: Resolved, prepared: Prepared, extensions: str) -> Row:
    """The row of STUDY."""
    spec, cohort = resolved.spec, prepared.cohort
    pairs = cohort.pairs
    holes = {name: hole.describe() for name, hole in spec.holes().items()}
    ablations = {table: list(ablation.variants) for table, ablation in spec.ablations.items()}
    return {
        "study": spec.study,
        "title": spec.title,
        "identity": json.dumps(spec.identity()),
        "profile": resolved.profile,
        "profile_changes": json.dumps(resolved.changes, default=str),
        "spec": json.dumps(resolved.data, default=str),
        "dataset": pairs.dataset,
        "root": pairs.root,
        "synthetic": pairs.synthetic,
        "cautions": list(prepared.cautions),
        "kind": pairs.kind,
        "labels": list(pairs.labels),
        "label_names": list(pairs.label_names),
        "num_views": pairs.num_views,
        "data_fingerprint": pairs.fingerprint,
        "split_hash": cohort.split_hash,
        "split_counts": json.dumps(cohort.counts()),
        "generated": json.dumps([asdict(images) for images in prepared.generated]),
        "skipped": json.dumps(pairs.skipped),
        "objective": prepared.objective,
        "thresholds": prepared.any_trial.thresholds,
        "num_trials": spec.num_trials,
        "search_space": json.dumps(holes),
        "ablations": json.dumps(ablations),
        "extensions": extensions,
    }

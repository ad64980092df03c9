"""What a run folder says about its study as a whole: `study.parquet`, `study.yaml` and `split.csv`."""

import json
from dataclasses import asdict

import yaml

from study.engine.start.preparing import Prepared
from study.evidence.records import Row
from study.evidence.store import Store
from study.spec.resolve import Resolved


def write_study(store: Store, resolved: Resolved, prepared: Prepared, extensions: str) -> None:
    """Writes the row of the study, the resolved study file, and the split.

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

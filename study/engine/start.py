"""Everything before the first training: storage, identity, data, cache, split, fit of the parts, the class-prior baseline."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml
from pyarrow import ArrowException

from study.data.cohort import Cohort, open_cohort
from study.engine.building import check_fits, load_backbone
from study.engine.order import Order, Site
from study.engine.pending import Pending
from study.engine.plan import Plan
from study.engine.training import trial_columns
from study.evidence.baselines import prior_predictions
from study.evidence.metrics import DEFAULT_OBJECTIVE, objective, objective_metric
from study.evidence.score import score_rows
from study.evidence.store import Store
from study.spec.errors import SpecError, StorageError
from study.spec.resolve import Resolved
from study.spec.study_file import StudySpec, TrialSpec

PRIOR = "baseline-prior"
EXTENDABLE = ("search.trials", "ablations")  # more of the same is no other study


@dataclass(frozen=True)
class Started:
    """A study that is ready to run.

    Attributes:
        store: the run's records.
        site: where trials work.
        cohort: the data at the first image setting.
        objective: the metric that is searched.
        plan: what to run.
    """

    store: Store
    site: Site
    cohort: Cohort
    objective: str
    plan: Plan


def open_store(resolved: Resolved, fresh: bool) -> Store:
    """The run's store, checked to be writable.

    Args:
        resolved: the study.
        fresh: rename an earlier run of the same name, so that this one starts empty.

    Raises:
        StorageError: it cannot be written, or the earlier run not renamed.
    """
    spec = resolved.spec
    storage = spec.storage if "://" in spec.storage else str(Path(spec.storage).expanduser().absolute())
    store = Store(f"{storage.rstrip('/')}/{spec.study}")
    store.check_writable()
    if fresh:
        aside = f"{store.root}.before-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        try:
            store.filesystem.move(store.root, aside)
        except (OSError, ArrowException) as error:
            raise StorageError(f"`{store.where}`: an earlier run must be renamed for --fresh, got: {error}. Rename it by hand.") from None
        store.check_writable()
    return store


def require_same_study(store: Store, spec: StudySpec, extend: bool) -> None:
    """A run folder belongs to one study: settings that can change a result must be what they were.

    Raises:
        SpecError: they differ; the message lists how.
    """
    try:
        before = json.loads(store.read_study()["identity"])
    except StorageError:
        return
    now = spec.identity()
    keys = [key for key in sorted(before.keys() | now.keys()) if before.get(key) != now.get(key)]
    if extend:
        keys = [key for key in keys if not key.startswith(EXTENDABLE)]
    if keys:
        lines = [f"  {key}: was {before.get(key, 'not there')}, is {now.get(key, 'not there')}" for key in keys[:12]]
        lines += [f"  and {len(keys) - 12} more"] if len(keys) > 12 else []
        raise SpecError(
            f"`{store.where}`: holds the results of another study; these settings differ:\n" + "\n".join(lines) + "\n"
            "Give the study another name, restore the settings, use --extend for more trials or ablations, "
            "or --fresh to put the old results aside."
        )


def start(
    resolved: Resolved, store: Store, provenance: str, cache: Path, progress: Callable[[int, int], None], extend: bool = False
) -> Started:
    """Checks everything that can be checked before training, prepares the data and rebuilds the plan from the records.

    Args:
        resolved: the study.
        store: the run's records.
        provenance: JSON recorded with each trial.
        cache: folder of all image caches.
        progress: called with images done and their total while decoding.
        extend: accept more trials or ablations than the run had.

    Raises:
        StudyError: whatever the user can have got wrong.
    """
    spec = resolved.spec
    require_same_study(store, spec, extend)
    fillings = spec.corners()
    fillings += [spec.variant(table, name, a.seeds[0], {}) for table, a in spec.ablations.items() for name in a.variants]
    cohort = open_cohort(fillings[0].data, cache, progress)
    name = fillings[0].objective or DEFAULT_OBJECTIVE[cohort.pairs.kind]
    if not objective_metric(name, cohort.pairs.kind, "objective").greater_is_better:
        raise SpecError(f"`objective`: must be a metric whose greater values are better, got `{name}`. Take its complement.")
    for filling in _distinct_models(fillings):
        check_fits(filling, cohort.pairs)
    for filling in _distinct_backbones(fillings):
        load_backbone(filling)  # fetched once, before trials race for it
    for filling in _distinct_images(fillings):
        open_cohort(filling.data, cache, progress)
    write_study(store, resolved, cohort, name)
    site = Site(spec.study, store.where, str(cache), provenance, cohort.pairs.fingerprint, cohort.split_hash)
    records = store.read("trial").to_dict("records")
    finished = {row["trial"] for row in records}
    pending = Pending(store)
    for order in pending.orders():
        if order.key in finished:
            pending.drop(order.key)  # it was killed between its publishing and this note
    plan = Plan(spec, _by_name(records), _by_name(store.read("epochs").to_dict("records")), pending.orders())
    if PRIOR not in finished:
        publish_prior(store, site, cohort, fillings[0], name)
        plan.finished[PRIOR] = ("complete", None)
    return Started(store, site, cohort, name, plan)


def write_study(store: Store, resolved: Resolved, cohort: Cohort, objective_name: str) -> None:
    """Writes `study.parquet`, the resolved `study.yaml`, and `split.csv`, which can be edited and given back as `data.split.file`."""
    spec, pairs = resolved.spec, cohort.pairs
    store.write_study(
        {
            "study": spec.study,
            "title": spec.title,
            "identity": json.dumps(spec.identity()),
            "profile": resolved.profile,
            "profile_changes": json.dumps(resolved.changes, default=str),
            "spec": json.dumps(resolved.data, default=str),
            "dataset": pairs.dataset,
            "root": pairs.root,
            "synthetic": pairs.synthetic,
            "kind": pairs.kind,
            "labels": list(pairs.labels),
            "num_views": pairs.num_views,
            "data_fingerprint": pairs.fingerprint,
            "split_hash": cohort.split_hash,
            "split_counts": json.dumps(cohort.counts()),
            "skipped": json.dumps(pairs.skipped),
            "objective": objective_name,
            "num_trials": spec.search.trials,
            "search_space": json.dumps({name: hole.describe() for name, hole in spec.holes().items()}),
            "ablations": json.dumps({table: list(ablation.variants) for table, ablation in spec.ablations.items()}),
        }
    )
    store.write_bytes("study.yaml", yaml.safe_dump(json.loads(json.dumps(resolved.data, default=str)), sort_keys=False).encode())
    store.write_bytes("split.csv", cohort.split.to_csv(index=False, lineterminator="\n").encode())


def publish_prior(store: Store, site: Site, cohort: Cohort, spec: TrialSpec, objective_name: str) -> None:
    """Scores the class prior, which knows nothing of any image, as a trial of its own."""
    pairs, now = cohort.pairs, datetime.now(UTC)
    known = pairs.targets[cohort.rows("train")]
    predictions = []
    for side in ("val", "test"):
        rows, names = cohort.rows(side), cohort.split.iloc[cohort.rows(side)]
        who = (names["sample"].tolist(), names["patient"].tolist())
        predictions.append(prior_predictions(PRIOR, known, side, *who, pairs.targets[rows], pairs.synthetic))
    order = Order(PRIOR, "baseline", spec.dump(), trains=False)
    record = {
        **trial_columns(order, site, spec),
        "state": "complete",
        "objective": objective_name,
        "value": objective(objective_name, pairs.kind, predictions[0].target, predictions[0].score),
        "best_epoch": 0,
        "num_epochs": 0,
        "num_parameters": 0,
        "seconds_training": 0.0,
        "seconds_total": 0.0,
        "device": "",
        "started": now,
        "ended": now,
        "synthetic": pairs.synthetic,
    }
    scores = score_rows(predictions, pairs.kind, pairs.labels)
    store.publish(PRIOR, {"trial": [record], "predictions": pa.concat_tables(p.table() for p in predictions), "scores": scores})


def _by_name(records: list[Any]) -> list[Mapping[str, Any]]:
    """Pandas types a row's keys as hashables; columns are texts."""
    return [{str(name): value for name, value in row.items()} for row in records]


def _distinct_models(fillings: list[TrialSpec]) -> list[TrialSpec]:
    """One filling for each combination of model, loss and image size among them."""
    return list({(f.model.model_dump_json(), f.loss.name, f.data.image_px): f for f in fillings}.values())


def _distinct_backbones(fillings: list[TrialSpec]) -> list[TrialSpec]:
    """One filling for each backbone with pretrained weights among them."""
    return list({(f.model.backbone.name, f.model.backbone.weights): f for f in fillings if f.model.backbone.weights != "none"}.values())


def _distinct_images(fillings: list[TrialSpec]) -> list[TrialSpec]:
    """One filling for each combination of image settings among them."""
    return list({(f.data.image_px, f.data.crop, f.data.fit): f for f in fillings}.values())

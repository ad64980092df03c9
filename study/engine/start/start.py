"""Everything before the first training: storage, identity, data, cache, split, fit of the parts, the class-prior baseline."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import yaml
from pyarrow import ArrowException

from study.data.cohort import Cohort, open_cohort, with_generated_images
from study.data.generated_images import check_generated
from study.data.preprocessing import Preprocessing
from study.engine.orders.driver_lock import require_free
from study.engine.orders.pending_orders import PendingOrders, delete_partial_writes
from study.engine.orders.trial_order import Site, TrialOrder
from study.engine.search.plan import Plan, repeated
from study.engine.start.cautions import cautions
from study.engine.start.class_prior import CLASS_PRIOR, publish_class_prior
from study.engine.start.identity import extensions, require_same_data, require_same_study
from study.engine.training.checks import check_fits, check_suits
from study.engine.training.judge import judge_of
from study.engine.training.network import load_backbone
from study.evidence.objectives import minimised
from study.evidence.store import Store
from study.spec.data_section import GeneratedSpec
from study.spec.errors import StorageError
from study.spec.resolve import Resolved
from study.spec.study_file import StudySpec
from study.spec.trial_spec import TrialSpec

Progress = Callable[[int, int], None]
TOLD = (
    "trial",
    "role",
    "number",
    "state",
    "value",
    "objectives",
    "params",
    "spec",
)  # of ten thousand records each column costs a second


@dataclass(frozen=True)
class Started:
    """A study that is ready to run.

    Attributes:
        store: the run's records.
        site: where trials work.
        cohort: the data at the first image setting.
        objective: the metric that is searched, the first of several.
        objectives: all of them, each with whether smaller is better.
        records: what the sampler is told of each finished trial: the columns `TOLD`.
        plan: what to run.
        generated: for each setting of `data.generated` its images by label, and where their contact sheet is.
        cautions: what is to be known of the pretrained weights.
    """

    store: Store
    site: Site
    cohort: Cohort
    objective: str
    objectives: dict[str, bool]
    records: list[dict[str, Any]]
    plan: Plan
    generated: list[dict[str, Any]]
    cautions: list[str]


def open_store(resolved: Resolved) -> Store:
    """The run's store.

    Raises:
        StorageError: it cannot be written.
    """
    spec = resolved.spec
    storage = spec.storage if "://" in spec.storage else str(Path(spec.storage).expanduser().absolute())
    store = Store(f"{storage.rstrip('/')}/{spec.study}")
    store.check_writable()
    return store


def put_aside(store: Store) -> None:
    """Renames an earlier run of the same name, so that this one starts empty.

    Raises:
        StorageError: it is being driven, or cannot be renamed.
    """
    require_free(store)
    aside = f"{store.root}.before-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    try:
        store.filesystem.move(store.root, aside)
    except (OSError, ArrowException) as error:
        raise StorageError(
            f"`{store.where}`: an earlier run must be renamed for --fresh, got: {error}. Rename it by hand."
        ) from None
    store.check_writable()


def start(
    resolved: Resolved,
    store: Store,
    provenance: str,
    cache: Path,
    decoded: Progress,
    generating: Progress,
    extend: bool = False,
) -> Started:
    """Checks everything that can be checked before training, prepares the data and rebuilds the plan from the records.

    Args:
        resolved: the study.
        store: the run's records.
        provenance: JSON recorded with each trial.
        cache: folder of all image caches.
        decoded: called with images done and their total while decoding.
        generating: called with epochs done and their total while generators are trained.
        extend: accept more of the same than the run had.

    Raises:
        StudyError: whatever the user can have got wrong.
    """
    spec = resolved.spec
    accepted = require_same_study(store, spec, extend)
    delete_partial_writes(store)
    fillings = spec.corners()
    fillings += [
        spec.variant(table, name, a.seeds[0], {})
        for table, a in spec.ablations.items()
        for name in a.variants
    ]
    cohort = open_cohort(fillings[0].data, cache, decoded)
    require_same_data(store, cohort)
    judge = judge_of(fillings[0], cohort.pairs.kind, trains_head=True)
    smaller = minimised(fillings[0].more_objectives, cohort.pairs.kind)
    for filling in fillings:
        check_suits(filling, cohort.pairs)
    for filling in _distinct_models(fillings):
        check_fits(filling, cohort.pairs)
    for filling in _distinct_backbones(fillings):
        load_backbone(filling)  # fetched once, before trials race for it
    wanted = _distinct_generated(fillings)
    if wanted:
        check_generated(cohort.pairs, cohort.rows("train"))
    generated = []
    for filling in _distinct_images(fillings):
        images = open_cohort(filling.data, cache, decoded)
        generated += [_generate(images, setting, filling.data.image_px, generating) for setting in wanted]
    told = cautions(fillings, None if cohort.pairs.synthetic else cohort.pairs.dataset)
    write_study(store, resolved, cohort, judge.objective.name, generated, extensions(store, accepted), told)
    site = Site(
        spec.study,
        store.where,
        str(cache),
        provenance,
        cohort.pairs.fingerprint,
        cohort.split_hash,
        fold_hashes=_fold_hashes(spec, fillings[0], cache),
        time_limit_s=spec.resources.time_limit_s,
    )
    records = store.read_table("trial", columns=TOLD).to_pylist()
    finished = {row["trial"] for row in records}
    interrupted = [_moved(order, fillings[0]) for order in PendingOrders(store).unfinished(finished)]
    epochs = store.read_table("epochs", columns=("trial", "epoch", "value")).to_pylist()
    plan = Plan(spec, records, epochs, interrupted, (False, *smaller))
    if CLASS_PRIOR not in finished:
        publish_class_prior(store, site, cohort, fillings[0])
        plan.finished[CLASS_PRIOR] = ("complete", None)
    objectives = {judge.objective.name: False, **dict(zip(fillings[0].more_objectives, smaller, strict=True))}
    return Started(store, site, cohort, judge.objective.name, objectives, records, plan, generated, told)


def _fold_hashes(spec: StudySpec, filling: TrialSpec, cache: Path) -> tuple[str, ...]:
    """What the split of each fold of the repeats must be."""
    folds = spec.search.confirm.folds if spec.search.confirm else 1
    repeats = [repeated(filling, 0, fold, folds) for fold in range(folds)] if folds > 1 else []
    return tuple(open_cohort(repeat.data, cache).split_hash for repeat in repeats)


def _generate(cohort: Cohort, wanted: GeneratedSpec, image_px: int, progress: Progress) -> dict[str, Any]:
    """Makes the images of one setting, before trials race for them."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    side = with_generated_images(cohort, wanted, device, progress).training
    assert side is not None
    setting = {**wanted.model_dump(exclude={"generator"}), "generator": str(wanted.generator)}
    return {**setting, "image_px": image_px, "counts": side.counts(), "sheet": str(side.sheet)}


def _moved(order: TrialOrder, filling: TrialSpec) -> TrialOrder:
    """An interrupted order with the data where they lie now."""
    data, split = filling.dump()["data"], order.spec["data"]["split"]
    if split["file"] is not None:
        split = {**split, "file": data["split"]["file"]}
    return replace(
        order, spec={**order.spec, "data": {**order.spec["data"], "root": data["root"], "split": split}}
    )


def write_study(
    store: Store,
    resolved: Resolved,
    cohort: Cohort,
    objective_name: str,
    generated: list[dict[str, Any]],
    extensions: str,
    told: list[str],
) -> None:
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
            "cautions": told,
            "kind": pairs.kind,
            "labels": list(pairs.labels),
            "num_views": pairs.num_views,
            "data_fingerprint": pairs.fingerprint,
            "split_hash": cohort.split_hash,
            "split_counts": json.dumps(cohort.counts()),
            "generated": json.dumps(generated),
            "skipped": json.dumps(pairs.skipped),
            "objective": objective_name,
            "num_trials": spec.num_trials,
            "search_space": json.dumps({name: hole.describe() for name, hole in spec.holes().items()}),
            "ablations": json.dumps(
                {table: list(ablation.variants) for table, ablation in spec.ablations.items()}
            ),
            "extensions": extensions,
        }
    )
    store.write_bytes(
        "study.yaml",
        yaml.safe_dump(json.loads(json.dumps(resolved.data, default=str)), sort_keys=False).encode(),
    )
    store.write_bytes("split.csv", cohort.assignment.to_csv(index=False, lineterminator="\n").encode())


def _distinct_models(fillings: list[TrialSpec]) -> list[TrialSpec]:
    """One filling for each combination of model, loss and image size among them."""
    return list(
        {
            (f.model.model_dump_json(), f.loss.name, f.data.image_px, f.optimiser.layer_decay < 1): f
            for f in fillings
        }.values()
    )


def _distinct_backbones(fillings: list[TrialSpec]) -> list[TrialSpec]:
    """One filling for each backbone with pretrained weights among them."""
    return list(
        {
            (f.model.backbone.name, f.model.backbone.weights): f
            for f in fillings
            if f.model.backbone.weights != "none"
        }.values()
    )


def _distinct_generated(fillings: list[TrialSpec]) -> list[GeneratedSpec]:
    """Each setting of generated images among the fillings; any may meet any image setting, since an ablation stands on the best trial."""
    return list(
        {
            f.data.generated.model_dump_json(): f.data.generated
            for f in fillings
            if f.data.generated is not None
        }.values()
    )


def _distinct_images(fillings: list[TrialSpec]) -> list[TrialSpec]:
    """One filling for each combination of image settings among them."""
    return list({repr(Preprocessing.of(f.data)): f for f in fillings}.values())

"""Everything before the first training, from the storage to the class prior, one step after the other."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pyarrow import ArrowException

from study.data.cohort import open_cohort
from study.data.source import roots
from study.engine.orders.driver_lock import FOLDER, driving
from study.engine.orders.pending_orders import PendingOrders, delete_partial_writes
from study.engine.orders.trial_order import Site, TrialOrder, fold_name
from study.engine.search.plan import Plan, TrialResult
from study.engine.start.class_prior import CLASS_PRIOR, publish_class_prior
from study.engine.start.examples import example_rows
from study.engine.start.identity import extensions, require_same_study
from study.engine.start.preparing import Prepared, Progress, prepare, unseen
from study.engine.start.study_row import write_study
from study.evidence.ledger import enter_records
from study.evidence.records import FinishedTrial, Role, State, finished_trials, learning_curves
from study.evidence.run_folder import place_below
from study.evidence.run_tables import write_run_table
from study.evidence.store import Store
from study.spec.errors import StorageError
from study.spec.resolve import Resolved
from study.spec.section import absolute_or_uri
from study.spec.study_file import StudySpec
from study.spec.trial_spec import TrialSpec


@dataclass(frozen=True, kw_only=True)
class Started:
    """A study that is ready to run.

    Attributes:
        store: Records of the run.
        site: Where trials work.
        prepared: Data and parts that all trials share.
        finished: Trials that had a record before.
        plan: What to run.
    """

    store: Store
    site: Site
    prepared: Prepared
    finished: Sequence[FinishedTrial]
    plan: Plan


def open_store(resolved: Resolved) -> Store:
    """The records of the run.

    Raises:
        StorageError: The run folder cannot be written.
    """
    spec = resolved.spec
    storage = absolute_or_uri(spec.storage)
    store = Store(place_below(storage, spec.study))
    store.check_writable()
    return store


def put_aside(store: Store) -> None:
    """Renames an earlier run of the same name, so that this one starts empty.

    A storage that cannot rename copies each file, and deletes the files when all are copied.

    Raises:
        StorageError: A process drives that run, or it cannot be renamed.
    """
    aside = f"{store.root}.before-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    try:
        with driving(store):  # refused while another process drives the run
            if not store.renames:
                store.move_files(aside, leave=FOLDER)
        if store.renames:
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
    encoding: Progress = unseen,
    *,
    extend: bool = False,
) -> Started:
    """Checks all that can be checked before training, prepares the data, and takes the plan from the records.

    Args:
        resolved: The study.
        store: Records of the run.
        provenance: JSON that is recorded with each trial.
        cache: Folder of all image caches.
        decoded: Called with images done and their total while images are decoded.
        generating: Called with epochs done and their total while generators are trained.
        encoding: Called with samples done and their total while frozen backbones run.
        extend: Accept that the study asks for more of the same than the run had.

    Raises:
        StudyError: Whatever the user can have got wrong.
    """
    spec = resolved.spec
    accepted = require_same_study(store, spec, extend=extend)
    delete_partial_writes(store)
    store.packs.tidy()
    prepared = prepare(store, spec, cache, decoded, generating, encoding)
    write_study(store, resolved, prepared, extensions(store, accepted))
    if accepted or not store.exists(store.path("examples.parquet")):  # an extension may add settings
        write_run_table(store, "examples", example_rows(prepared.cohort, prepared.trials))
    site = _site(spec, store, prepared, provenance, cache)
    finished = finished_trials(store)
    plan = _take_up(spec, store, finished, prepared)
    if CLASS_PRIOR not in plan.finished:
        publish_class_prior(store, site, prepared.cohort, prepared.any_trial)
        plan.finished[CLASS_PRIOR] = TrialResult(Role.BASELINE, State.COMPLETE, None)
    enter_records(store)
    return Started(store=store, site=site, prepared=prepared, finished=finished, plan=plan)


def _site(spec: StudySpec, store: Store, prepared: Prepared, provenance: str, cache: Path) -> Site:
    cohort = prepared.cohort
    return Site(
        study=spec.study,
        run=store.where,
        cache=str(cache),
        provenance=provenance,
        data_fingerprint=cohort.pairs.fingerprint,
        split_hash=cohort.split_hash,
        fold_hashes=_fold_hashes(spec, prepared.any_trial, cache),
        time_limit_s=spec.resources.time_limit_s,
        features_gb=spec.resources.features_gb,
        compile=spec.resources.compile,
        fence=store.fence,
        roots=roots(),
    )


def _take_up(spec: StudySpec, store: Store, finished: Sequence[FinishedTrial], prepared: Prepared) -> Plan:
    """The plan as the records of the run leave it."""
    unfinished = PendingOrders(store).unfinished({trial.trial for trial in finished})
    interrupted = [with_present_paths(order, prepared.any_trial) for order in unfinished]
    minimised = tuple(prepared.objectives.values())
    return Plan(spec, finished, learning_curves(store), interrupted, minimised)


def _fold_hashes(spec: StudySpec, trial: TrialSpec, cache: Path) -> dict[str, str]:
    """The hash that the split of each fold of repeats and ablations must have; none without folds."""
    confirm = spec.search.confirm
    numbers = {confirm.folds if confirm else 1, *(ablation.folds for ablation in spec.ablations.values())}
    return {
        fold_name(folds, fold): open_cohort(
            trial.repeated(seed=0, fold=fold, folds=folds).data, cache
        ).split_hash
        for folds in sorted(numbers - {1})
        for fold in range(folds)
    }


def with_present_paths(order: TrialOrder, trial: TrialSpec) -> TrialOrder:
    """An interrupted order with the paths of the data and of the split file as they are now.

    Args:
        order: The order.
        trial: A trial with these paths.
    """
    data, present = order.spec["data"], trial.dump()["data"]
    split = data["split"]
    if split["file"] is not None:
        split = {**split, "file": present["split"]["file"]}
    return replace(order, spec={**order.spec, "data": {**data, "root": present["root"], "split": split}})

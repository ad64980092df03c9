"""The class prior as a trial of its own: the same predictions for every image."""

from datetime import UTC, datetime

import pyarrow as pa

from study.data.cohort import Cohort
from study.engine.orders.trial_order import Site, TrialOrder, trial_record
from study.engine.training.judge import judge_of, retrieval_scores
from study.engine.training.prior import prior_embeddings_of, prior_predictions_for, prior_value
from study.evidence.predictions import PRIOR
from study.evidence.records import Role, State, TrialRecord, trial_table
from study.evidence.score import score_rows
from study.evidence.store import Store
from study.spec.trial_spec import TrialSpec

CLASS_PRIOR = "baseline-prior"


def publish_class_prior(store: Store, site: Site, cohort: Cohort, spec: TrialSpec) -> None:
    """Scores the class prior and publishes it.

    For the task retrieval it is a retriever that always returns the commonest grade.

    Args:
        store: Records of the run.
        site: Site of the study.
        cohort: Data of the study.
        spec: Any trial of the study; all of them have the same task and objective.

    Raises:
        StorageError: Writing failed.
    """
    pairs = cohort.pairs
    judge = judge_of(spec, pairs.kind, trains_head=True)
    embeddings = prior_embeddings_of(cohort, CLASS_PRIOR)
    train, *queries = embeddings
    predictions = [prior_predictions_for(query, train) for query in queries]
    value = prior_value(judge, cohort)
    tables = {
        "trial": trial_table(_record(site, spec, judge.objective.name, value, synthetic=pairs.synthetic)),
        "predictions": pa.concat_tables(part.table() for part in predictions),
        "scores": [
            *score_rows(predictions, pairs.kind, pairs.labels, judge.thresholds),
            *retrieval_scores(judge, spec, train, queries, pairs.labels),
        ],
    }
    if pairs.kind != "multilabel":
        tables["embeddings"] = pa.concat_tables(part.table() for part in embeddings)
    store.publish(CLASS_PRIOR, tables)


def _record(site: Site, spec: TrialSpec, objective: str, value: float, *, synthetic: bool) -> TrialRecord:
    """The record of a trial that took no time and has no network."""
    now = datetime.now(UTC)
    return trial_record(
        TrialOrder(key=CLASS_PRIOR, role=Role.BASELINE, spec=spec.dump(), trains=False),
        site,
        state=State.COMPLETE,
        objective=objective,
        value=value,
        head=PRIOR,
        best_epoch=0,
        num_epochs=0,
        num_parameters=0,
        seconds_training=0.0,
        seconds_total=0.0,
        started=now,
        ended=now,
        synthetic=synthetic,
    )

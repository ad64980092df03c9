"""The class prior as a trial of its own: the same predictions for every image."""

from datetime import UTC, datetime

import pyarrow as pa

from study.data.cohort import Cohort
from study.data.split import SPLITS
from study.engine.orders.trial_order import Site, TrialOrder, trial_record
from study.engine.training.judge import judge_of, retrieval_scores
from study.evidence.baselines import prior_embeddings, prior_predictions
from study.evidence.metrics import metric_value
from study.evidence.objective import Judge
from study.evidence.predictions import PRIOR, Embeddings, Predictions
from study.evidence.records import Role, State, TrialRecord, trial_table
from study.evidence.retrieval import retrieval_means
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
    embeddings = _embeddings(cohort)
    train, *queries = embeddings
    predictions = [_predictions_for(query, train) for query in queries]
    value = _value(judge, predictions[0], queries[0], train)
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


def _embeddings(cohort: Cohort) -> list[Embeddings]:
    """Embeddings of training, validation and test."""
    pairs = cohort.pairs
    train_target = pairs.targets[cohort.rows("train")]
    embeddings = []
    for split in SPLITS:
        rows = cohort.rows(split)
        names = cohort.assignment.iloc[rows]
        part = prior_embeddings(
            trial=CLASS_PRIOR,
            train_target=train_target,
            split=split,
            sample=names["sample"].tolist(),
            patient=names["patient"].tolist(),
            target=pairs.targets[rows],
            synthetic=pairs.synthetic,
        )
        embeddings.append(part)
    return embeddings


def _predictions_for(query: Embeddings, train: Embeddings) -> Predictions:
    """Predictions for the samples of a split."""
    return prior_predictions(
        trial=CLASS_PRIOR,
        train_target=train.target,
        split=query.split,
        sample=query.sample,
        patient=query.patient,
        target=query.target,
        synthetic=query.synthetic,
    )


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


def _value(judge: Judge, predictions: Predictions, val: Embeddings, train: Embeddings) -> float:
    """The objective on validation."""
    measure = judge.objective.measure
    if judge.objective.by == "retrieval":
        return float(retrieval_means(judge.ranking(val, train), measure)[0])
    return metric_value(measure, judge.kind, predictions.target, predictions.score, judge.thresholds)

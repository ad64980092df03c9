"""The class prior as a trial of its own: what knows nothing of any image."""

from datetime import UTC, datetime

import pyarrow as pa

from study.data.cohort import Cohort
from study.engine.orders.trial_order import Site, TrialOrder, trial_columns
from study.engine.training.judge import judge_of, retrieved
from study.evidence.baselines import prior_embeddings, prior_predictions
from study.evidence.metrics import objective
from study.evidence.predictions import Embeddings, Predictions
from study.evidence.retrieval import retrieval_means
from study.evidence.score import score_rows
from study.evidence.store import Store
from study.spec.trial_spec import TrialSpec

CLASS_PRIOR = "baseline-prior"


def publish_class_prior(store: Store, site: Site, cohort: Cohort, spec: TrialSpec) -> None:
    """Scores the class prior; for retrieval it is the retriever that always returns the commonest grade.

    Args:
        store: the run's records.
        site: of the study.
        cohort: its data.
        spec: any of its trials, which share task and objective.
    """
    pairs, now = cohort.pairs, datetime.now(UTC)
    predictions, embeddings = _known_of_nothing(cohort)
    judge = judge_of(spec, pairs.kind, trains_head=True)
    gallery, *queries = embeddings
    if judge.objective.by == "retrieval":
        value = float(retrieval_means(judge.ranking(queries[0], gallery), judge.objective.measure)[0])
    else:
        value = objective(judge.objective.measure, pairs.kind, predictions[0].target, predictions[0].score)
    record = {
        **trial_columns(TrialOrder(CLASS_PRIOR, "baseline", spec.dump(), trains=False), site, spec),
        "state": "complete",
        "objective": judge.objective.name,
        "value": value,
        "head": "prior",
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
    tables = {
        "trial": [record],
        "predictions": pa.concat_tables(p.table() for p in predictions),
        "scores": [
            *score_rows(predictions, pairs.kind, pairs.labels),
            *retrieved(judge, spec, gallery, queries, pairs.labels),
        ],
    }
    if pairs.kind != "multilabel":
        tables["embeddings"] = pa.concat_tables(e.table() for e in embeddings)
    store.publish(CLASS_PRIOR, tables)


def _known_of_nothing(cohort: Cohort) -> tuple[list[Predictions], list[Embeddings]]:
    """Predictions of validation and test, and the embeddings of all three splits."""
    pairs, train = cohort.pairs, cohort.rows("train")
    predictions, embeddings = [], []
    for split in ("train", "val", "test"):
        rows, names = cohort.rows(split), cohort.assignment.iloc[cohort.rows(split)]
        who = (names["sample"].tolist(), names["patient"].tolist())
        given = (CLASS_PRIOR, pairs.targets[train], split, *who, pairs.targets[rows], pairs.synthetic)
        embeddings.append(prior_embeddings(*given))
        if split != "train":
            predictions.append(prior_predictions(*given))
    return predictions, embeddings

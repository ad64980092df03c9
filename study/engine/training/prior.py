"""What a network that knows nothing of the images would reach on a cohort: the class prior."""

from study.data.cohort import Cohort
from study.data.split import SPLITS
from study.evidence.baselines import prior_embeddings, prior_predictions
from study.evidence.metrics import metric_value
from study.evidence.objective import Judge
from study.evidence.predictions import Embeddings, Predictions
from study.evidence.retrieval import retrieval_means


def prior_embeddings_of(cohort: Cohort, trial: str) -> list[Embeddings]:
    """Embeddings of training, validation and test that find the commonest grade first.

    Args:
        cohort: The samples; generated ones take no part.
        trial: Key of the trial that the embeddings belong to.
    """
    pairs = cohort.pairs
    train_target = pairs.targets[cohort.rows("train")]
    embeddings = []
    for split in SPLITS:
        rows = cohort.rows(split)
        names = cohort.assignment.iloc[rows]
        part = prior_embeddings(
            trial=trial,
            train_target=train_target,
            split=split,
            sample=names["sample"].tolist(),
            patient=names["patient"].tolist(),
            target=pairs.targets[rows],
            synthetic=pairs.synthetic,
        )
        embeddings.append(part)
    return embeddings


def prior_predictions_for(query: Embeddings, train: Embeddings) -> Predictions:
    """The training split's share of each label, for every sample of a split."""
    return prior_predictions(
        trial=query.trial,
        train_target=train.target,
        split=query.split,
        sample=query.sample,
        patient=query.patient,
        target=query.target,
        synthetic=query.synthetic,
    )


def prior_value(judge: Judge, cohort: Cohort) -> float:
    """The objective of the class prior on validation; NaN where it is undefined.

    For the task retrieval it is that of a retriever that always returns the commonest grade.
    """
    train, val, _ = prior_embeddings_of(cohort, "")
    measure = judge.objective.measure
    if judge.objective.by == "retrieval":
        return float(retrieval_means(judge.ranking(val, train), measure)[0])
    score = prior_predictions_for(val, train).score
    return metric_value(measure, judge.kind, val.target, score, judge.thresholds)

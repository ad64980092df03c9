"""Rankings of a run: what each trial's embedding finds for every query.

The gallery is the training split. How it is searched is declared by the trial's task; a trial that was
trained for another task has the defaults of retrieval.
"""

from functools import lru_cache

from study.evidence.predictions import embeddings_of
from study.evidence.retrieval import Ranking, rank_references
from study.reporting.run import Run
from study.spec.task import RetrievalSpec


@lru_cache(maxsize=64)
def ranking_of(run: Run, trial: str, split: str) -> tuple[Ranking, tuple[str, ...]] | None:
    """The ranked references of each query, and the patient of each query.

    Args:
        run: The run.
        trial: Key of the trial whose embeddings are used.
        split: Split of the queries.

    Returns:
        None where samples have several labels, or where the trial has no embeddings.
    """
    if run.kind == "multilabel":
        return None
    table = run.store.read_table("embeddings", [trial], filters={"split": ["train", split]})
    parts = {embeddings.split: embeddings.known() for embeddings in embeddings_of(table)}
    if not {"train", split} <= parts.keys():
        return None
    ranking = rank_references(parts["train"], parts[split], gallery_of(run, trial))
    return ranking, tuple(parts[split].patient)


def gallery_of(run: Run, trial: str) -> RetrievalSpec:
    """How a trial searches the gallery."""
    task = run.of_trial(trial, "spec").get("task", {})
    return RetrievalSpec(**{key: value for key, value in task.items() if key != "name"})

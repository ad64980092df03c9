"""Rankings of a run: what each trial's embedding finds for every query.

The gallery is the training split; distance and gallery are those of the trial's task, or of the task's defaults for a trial
that was trained for another one.
"""

from functools import lru_cache

from study.evidence.predictions import embeddings_of
from study.evidence.retrieval import Gallery, Ranking, rank_references
from study.reporting.run import Run


@lru_cache(maxsize=64)
def ranking_of(run: Run, trial: str, split: str) -> tuple[Ranking, tuple[str, ...]] | None:
    """The ranked references of each query of a split and the queries' patients; None without embeddings or one label a sample."""
    if run.kind == "multilabel":
        return None
    table = run.store.read_table("embeddings", [trial], filters={"split": ["train", split]})
    parts = {e.split: e.known() for e in embeddings_of(table)}
    if not {"train", split} <= set(parts):
        return None
    way = gallery_of(run, trial)
    ranking = rank_references(
        parts["train"], parts[split], way.distance, exclude_same_patient=way.exclude_same_patient
    )
    return ranking, tuple(parts[split].patient)


def gallery_of(run: Run, trial: str) -> Gallery:
    """How a trial ranks."""
    task = run.of_trial(trial, "spec").get("task", {})
    return Gallery(**{key: value for key, value in task.items() if key != "name"})

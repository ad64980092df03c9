"""The test samples of the chosen trial whose nearest training samples the report shows."""

from functools import lru_cache

from study.evidence.predictions import embeddings_of
from study.evidence.similar import SimilarCases, known_cases, search_rule, similar_cases, telling_queries
from study.reporting.run import Run
from study.spec.task import read_task

NUM_NEIGHBOURS = 5


@lru_cache(maxsize=4)
def shown_cases(run: Run) -> SimilarCases | None:
    """For each label a test sample with right neighbours, and the one with the worst, by a fixed rule.

    Returns:
        None where the chosen trial searches for no neighbours, or has no embeddings.
    """
    if run.best is None:
        return None
    task = read_task(run.of_trial(run.best, "spec").get("task", "classification"))
    rule = search_rule(run.store, run.best, task)
    known = known_cases(run.store, run.best) if rule else None
    table = run.store.read_table("embeddings", [run.best], filters={"split": "test"})
    if rule is None or known is None or not len(table):
        return None
    k = min(NUM_NEIGHBOURS, len(known.sample))
    cases = similar_cases(known, embeddings_of(table)[0], rule, k)
    rows = telling_queries(cases)
    return cases.of(rows, k) if rows else None


def samples_with_pictures(cases: SimilarCases) -> list[str]:
    """Names of the samples whose photographs the figure wants."""
    return [*cases.queries.sample, *cases.neighbours()]

"""Similar cases: test samples and the training samples that are nearest to them, right ones and wrong ones.

Source: the task of Fang et al. 2023, Biomedical Signal Processing and Control 80:104277.
Differs: the queries are taken by a fixed rule, for each label a good one and the worst one.
"""

from matplotlib.figure import Figure

from study.evidence.case_pictures import read_pictures
from study.reporting.contact_sheet import Sheet, contact_sheet
from study.reporting.run import Run
from study.reporting.similar import shown_cases


class SimilarTestCases:
    """Some queries of the test split with their nearest training samples."""

    title = "Test samples and their nearest training samples"
    section = "chosen"

    def data(self, run: Run) -> Sheet | None:
        """None where the chosen trial searches for no neighbours."""
        cases = shown_cases(run)
        if cases is None:
            return None
        pictures = read_pictures(run.store)
        return Sheet(cases=cases, labels=run.labels, of_queries=pictures, of_known=pictures)

    def draw(self, data: Sheet) -> Figure:
        """One row for each query."""
        return contact_sheet(data)

    def caption(self, data: Sheet) -> str:
        """How the queries were taken, and how to read the marks."""
        cases, k = data.cases, data.cases.index.shape[1]
        none = "" if data.num_views else " The study's command keeps their photographs when it ends."
        return (
            f"For each label a test sample whose {k} nearest training samples all have the same labels, at "
            "the smallest mean distance, and the one with the fewest such training samples. So the rows show "
            "how good and how bad the search can be, not how often. A training sample that differs has "
            f"other labels than the test sample. {cases.metric.capitalize()} distance on the embedding of "
            f"{cases.known.trial}.{none}"
        )

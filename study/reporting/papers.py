"""The tables of papers as data: a report has such a table because its file `published/NAME.yaml` exists."""

from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from study.evidence.decisions import Decision
from study.evidence.neighbours import Ties
from study.spec.errors import SpecError, suggest
from study.spec.posthoc import MAX_K, DistanceName, Votes
from study.spec.task import LabelKind


class Part(BaseModel):
    """A part of a published table: unknown keys are errors, and values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class PaperNumber(Part):
    """One number of a paper.

    Attributes:
        value: The number.
        derived: Whether the number follows from the paper's text and is not printed there.
        how: How a derived number follows from the text.
    """

    value: float
    derived: bool = False
    how: str = ""

    @model_validator(mode="after")
    def _derived_says_how(self) -> "PaperNumber":
        if self.derived != bool(self.how):
            raise ValueError("a derived number, and only that, says how it was derived")
        return self


class PaperMetric(Part):
    """A column of a paper and the measure of ours that stands beside it.

    Attributes:
        label: Heading of the column.
        measure: Name of our measure; empty where none stands beside the column.
        decision: At which thresholds our labels are decided, where a sample may have several: `half` is for
            a measure that its source defines so.
        class_index: Place of the class that the column is about, `class` in the file; None for all classes.
        digits: Places after the point of the published numbers.
        unit: What a number of ours is divided by, such as a million for a column in millions.
    """

    label: str
    measure: str = ""
    decision: Decision = "tuned"
    class_index: int | None = Field(default=None, alias="class")
    digits: int = 3
    unit: float = 1.0


class PaperRow(Part):
    """A row of a paper.

    Attributes:
        label: Name of the row.
        values: The numbers that we know, by metric.
        baseline: Baseline of ours that fills the row, instead of what the table's `rows_are` says.
        head: `network` where the paper's network decides by its own head, although other rows of the table
            are nearest neighbours.
        words: What stands beside `ours` in a row that a baseline fills.
        leaves_out: Parts that the network of the row lacks, for the check on printed numbers.
        not_built: Why no component of ours is what the row names; it stands in the row until one is trained.
    """

    label: str
    values: dict[str, PaperNumber] = {}
    baseline: Literal["", "prior", "untrained"] = ""
    head: Literal["", "network"] = ""
    words: str = ""
    leaves_out: frozenset[str] = frozenset()
    not_built: str = ""

    @field_validator("values", mode="before")
    @classmethod
    def _plain_numbers(cls, data: dict[str, object]) -> dict[str, object]:
        return {
            key: value if isinstance(value, dict) else {"value": value}
            for key, value in data.items()
            if value is not None
        }


class NeighbourRule(Part):
    """How the nearest neighbours of a table are found and how they vote.

    Attributes:
        k: Number of neighbours; None where each row has its own.
        distance: Distance between two embeddings.
        votes: Weight of a neighbour's vote.
        ties: Which of the classes with equal votes wins.
    """

    k: int | None = Field(default=None, ge=1, le=MAX_K)
    distance: DistanceName
    votes: Votes
    ties: Ties

    def setting(self, row: str) -> str:
        """The setting of a row as records have it, such as `k=2, euclidean, uniform`."""
        return f"k={self.k or int(row.removeprefix('k'))}, {self.distance}, {self.votes}"


class PaperTable(Part):
    """A table of a paper, as far as we know it.

    Attributes:
        name: File name without its ending.
        paper: Short name of the paper.
        citation: Authors, year and place of the paper.
        number: Number of the table in the paper, or a word for it.
        kind: Kind of the labels of the data that can stand beside the table.
        title: What the table shows.
        data: The paper's data, in words.
        dataset: Our name of the paper's data; empty where nobody else has the data.
        num_test: Number of test samples, where it follows from the text; else 0.
        split: How the paper splits its data, in words.
        source: Where the published numbers were found.
        differs: What is not in our rows as it is in the paper's.
        form: `compared` shows each row as a group: ours, the published numbers, the difference, the verdict.
            `listed` shows our chosen trial and class prior, then each published row in one line.
            `counts` shows published numbers of samples, then ours in one line.
            `costs` shows structure, size and cost of our network of each row.
        ablation: Ablation whose variants fill the rows; by itself the one that is named like the table.
        network: Variant of the ablation on whose embedding, with the first seed, all rows stand that are no
            variants: the network that the paper proposes.
        rows_are: What fills a row of ours. `variants`: the variant of that name in the table's ablation.
            `heads`: the classifier of that name on the embedding of `network`. `neighbours`: that number of
            nearest neighbours on it; the row `k5` has five.
        neighbours: How nearest neighbours are found and how they vote, in every row that they decide; None
            where validation chooses that.
        metrics: The columns.
        reference: Row that the paper proposes.
        with_chosen: Whether the run's chosen trial has a row of its own.
        drawn_together: Whether the figures that compare variants show the ablation of this table.
        by_group: Whether the variants of this table's ablation are also scored on groups of patients.
        rows: The rows.
        our_choices: What the paper does not state and we had to choose.
        remarks: Sentences under the table.
    """

    name: str
    paper: str
    citation: str
    number: str
    kind: LabelKind
    title: str
    data: str
    dataset: str = ""
    num_test: int = 0
    split: str
    source: str
    differs: str
    ablation: str
    network: str = ""
    form: Literal["compared", "listed", "counts", "costs"] = "compared"
    rows_are: Literal["variants", "heads", "neighbours"] = "variants"
    neighbours: NeighbourRule | None = None
    metrics: dict[str, PaperMetric]
    reference: str = ""
    with_chosen: bool = False
    drawn_together: bool = False
    by_group: bool = False
    rows: dict[str, PaperRow]
    our_choices: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def heading(self) -> str:
        """Paper, number and title."""
        return f"{self.paper}, {self.number}: {self.title}"

    @model_validator(mode="after")
    def _values_have_a_column(self) -> "PaperTable":
        for key, row in self.rows.items():
            if unknown := row.values.keys() - self.metrics.keys():
                raise ValueError(f"row {key} has values for unknown metrics {sorted(unknown)}")
        if self.reference and self.reference not in self.rows:
            raise ValueError(f"the reference {self.reference} is no row")
        return self

    @model_validator(mode="after")
    def _neighbours_have_a_rule(self) -> "PaperTable":
        if self.rows_are == "neighbours" and self.neighbours is None:
            raise ValueError("a table whose rows are neighbours says how they are found")
        if self.neighbours and (self.rows_are == "neighbours") != (self.neighbours.k is None):
            raise ValueError("neighbours have one K, unless each row has its own")
        return self

    @model_validator(mode="after")
    def _heads_have_a_network(self) -> "PaperTable":
        if (self.rows_are == "variants") != (not self.network):
            raise ValueError(
                "a table whose rows are no variants, and only that, says on which network they stand"
            )
        return self


def _folder() -> Traversable:
    return resources.files("study.reporting").joinpath("published")


@cache
def published_names() -> tuple[str, ...]:
    """Names of all tables of papers."""
    files = (file.name for file in _folder().iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in files if name.endswith(".yaml")))


@cache
def published(name: str) -> PaperTable:
    """The table of that name.

    Raises:
        SpecError: There is no file of that name.
    """
    if name not in published_names():
        hint = suggest(name, published_names())
        raise SpecError(f"`table`: must be a published table, got `{name}`. {hint}")
    text = _folder().joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return PaperTable.model_validate({"name": name, "ablation": name, **yaml.safe_load(text)})


def published_tables() -> tuple[PaperTable, ...]:
    """All tables of papers, by name."""
    return tuple(map(published, published_names()))

"""The published numbers as data: `published/*.yaml`, one file a table of a paper."""

from functools import cache
from importlib import resources
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from study.evidence.metrics import LabelKind
from study.spec.errors import SpecError, suggest


class Part(BaseModel):
    """A part of a published table: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PaperNumber(Part):
    """One number of a paper; `derived` ones follow from its text by `how`."""

    value: float
    derived: bool = False
    how: str = ""

    @model_validator(mode="after")
    def _derived_says_how(self) -> "PaperNumber":
        if self.derived != bool(self.how):
            raise ValueError("a derived number, and only that, says how it was derived")
        return self


class PaperMetric(Part):
    """A column of a paper and the measure of ours that stands beside it; an empty measure has no counterpart."""

    label: str
    measure: str
    decision: Literal["half", "tuned", "none"] = "none"
    class_: int | None = None
    digits: int = 3

    @model_validator(mode="before")
    @classmethod
    def _class_is_a_keyword(cls, data: dict[str, object]) -> dict[str, object]:
        return {"class_" if key == "class" else key: value for key, value in data.items()}


class PaperRow(Part):
    """A row of a paper; a metric without a value is not known to us."""

    label: str
    values: dict[str, PaperNumber] = {}

    @field_validator("values", mode="before")
    @classmethod
    def _plain_numbers(cls, data: dict[str, object]) -> dict[str, object]:
        return {
            key: value if isinstance(value, dict) else {"value": value}
            for key, value in data.items()
            if value is not None
        }


class PaperTable(Part):
    """A table of a paper, as far as it is known to us.

    Attributes:
        kind: of the data on which ours can stand beside it.
        dataset: the project's name of the paper's data, empty for data that nobody else has.
        num_test: number of test samples, where it follows from the text.
        rows_are: what fills a row of ours: a variant of the ablation of this name, a classifier on one network's
            embedding, or a number of neighbours on it.
        reference: the row that the paper proposes.
        with_chosen: the run's chosen trial has a row of its own.
        our_choices: what the paper does not state and we had to choose.
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
    rows_are: Literal["variants", "heads", "neighbours"] = "variants"
    metrics: dict[str, PaperMetric]
    reference: str = ""
    with_chosen: bool = False
    rows: dict[str, PaperRow]
    our_choices: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _values_have_a_column(self) -> "PaperTable":
        for key, row in self.rows.items():
            if unknown := row.values.keys() - self.metrics.keys():
                raise ValueError(f"row {key} has values for unknown metrics {sorted(unknown)}")
        if self.reference and self.reference not in self.rows:
            raise ValueError(f"the reference {self.reference} is no row")
        return self


@cache
def published_names() -> tuple[str, ...]:
    """Names of all published tables."""
    files = resources.files("study.reporting").joinpath("published").iterdir()
    return tuple(sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml")))


@cache
def published(name: str) -> PaperTable:
    """A published table by its name.

    Raises:
        SpecError: no file of that name.
    """
    if name not in published_names():
        raise SpecError(
            f"`table`: must be a published table, got `{name}`. {suggest(name, published_names())}"
        )
    text = (
        resources.files("study.reporting").joinpath("published", f"{name}.yaml").read_text(encoding="utf-8")
    )
    return PaperTable.model_validate({"name": name, **yaml.safe_load(text)})

"""The part `task` of a study file: what the network is for."""

from collections.abc import Mapping
from typing import Literal

from pydantic import ValidationError

from study.spec import components
from study.spec.errors import SpecError, suggest
from study.spec.section import Section

LabelKind = Literal["multilabel", "classes", "grades"]
"""How many labels a sample carries: any number of them, exactly one, or exactly one of an ordered scale."""

ThresholdRule = Literal["f1", "youden", "half"]
"""Which threshold a label gets, where a sample may carry several labels: that with the greatest F1 on
validation, that with the greatest sensitivity + specificity - 1 there, or one half."""


class ClassificationSpec(Section):
    """The task of saying which labels a sample carries."""

    name: Literal["classification"] = "classification"


class RetrievalSpec(Section):
    """The task of finding training samples of the query's class or grade.

    The samples of validation and test are the queries; each is compared with its gallery, the training
    samples.

    Attributes:
        exclude_same_patient: false adds the other samples of a query's patient (the fellow eye) to its
            gallery, as a split by image does.
        distance: distance between embeddings.
    """

    name: Literal["retrieval"] = "retrieval"
    exclude_same_patient: bool = True
    distance: Literal["cosine", "euclidean"] = "cosine"


Task = ClassificationSpec | RetrievalSpec
TASKS: dict[str, type[Task]] = {"classification": ClassificationSpec, "retrieval": RetrievalSpec}
TaskName = Literal["classification", "retrieval"]


def read_task(value: object) -> Task:
    """A task from its name, or from a mapping with `name` and its settings.

    Raises:
        SpecError: the task is unknown, or a setting is unknown or of a wrong type.
    """
    if isinstance(value, Task):
        return value
    given = value if isinstance(value, Mapping) else {"name": value}
    name = str(given.get("name"))
    if name not in TASKS:
        raise SpecError(
            f"`task`: must be a task's name or a mapping with `name`, got {value!r}. {suggest(name, TASKS)}"
        )
    try:
        return TASKS[name].model_validate(given)
    except ValidationError as error:
        raise SpecError(components.validation_message(error, "task", TASKS[name])) from None

"""What one training needs: the parts of a study file that a trial has, without holes."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, WithJsonSchema, model_validator

from study.spec import components
from study.spec.components import Component
from study.spec.data_section import DataSpec
from study.spec.errors import SpecError
from study.spec.model_section import ModelSpec
from study.spec.posthoc import heads_schema, read_heads
from study.spec.section import LocalPath, Section, Share, slot
from study.spec.task import ClassificationSpec, Task, TaskName, ThresholdRule, read_task

OBJECTIVE_SCHEMA = {
    "anyOf": [
        {"type": "string"},
        {"type": "array", "items": {"type": "string"}, "minItems": 1},
        {"type": "null"},
    ]
}


class OptimiserSpec(Section):
    """AdamW with a cosine schedule.

    Attributes:
        lr: largest learning rate.
        weight_decay: decoupled weight decay.
        backbone_lr_scale: the backbone's learning rate as a share of `lr`.
        layer_decay: learning rate of each stage of the backbone (each block of a transformer) as a share of
            that of the stage after it.
    """

    lr: Annotated[float, Field(gt=0, le=1)] = 1e-4
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-2
    backbone_lr_scale: Share = 1.0
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0


class TrainingSpec(Section):
    """How long and how a network is trained.

    Attributes:
        epochs: largest number of epochs.
        batch_size: number of samples in a batch.
        accumulate: number of parts of a batch that are worked on one after another, their gradients added. It
            needs less memory, but batch statistics, and losses among the samples of a batch, see one part
            alone.
        warmup_epochs: number of epochs in which the learning rate rises to `lr`.
        clip_norm: largest norm of the gradient.
        patience: number of epochs without a better validation value after which training ends.
        precision: `auto` takes bfloat16 on a GPU that has it, and 32 bits elsewhere.
        supervision: what the loss judges: each sample (`sample`), or only each eye by its own labels, where
            they are known (`eyes`). A network with the fusion `late` that learns from eyes judges each eye
            without the other.
        sampling: `class_balanced` fills batches with the same number of images of each class; only for
            classes and grades.
        eye_weight: weight of the loss on each eye's own labels, where they are known; 0 leaves it out.
        feature_bank: number of augmented versions of each training sample that a frozen backbone is shown,
            once and for all seeds; an epoch takes one of them for each sample. 0 shows it ever new ones.
        seed: seed of the first weights, of the order of the samples and of their augmentation.
    """

    epochs: Annotated[int, Field(ge=1)] = 30
    batch_size: Annotated[int, Field(ge=2)] = 16
    accumulate: Annotated[int, Field(ge=1)] = 1
    warmup_epochs: Annotated[float, Field(ge=0)] = 1
    clip_norm: Annotated[float, Field(gt=0)] = 1.0
    patience: Annotated[int, Field(ge=1)] = 10
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    supervision: Literal["sample", "eyes"] = "sample"
    sampling: Literal["shuffle", "class_balanced"] = "shuffle"
    eye_weight: Share = 0.0
    feature_bank: Annotated[int, Field(ge=0)] = 0
    seed: int = 0


class TrialSpec(Section):
    """Everything one training needs; no hole is left, and training code sees nothing else.

    Attributes:
        data: which images are used, how they are prepared, and who is in which split.
        model: the slots of the siamese network.
        loss: what training minimises.
        optimiser: learning rates and weight decay.
        training: how long and how the network is trained.
        task: what the network is for; it decides which objectives there are.
        heads: classifiers that are fitted on the embedding of every trial after its training, by name, or as
            a mapping with `name` and the settings that validation must not choose, such as
            `{name: knn, k: 2}`; `all` for every classifier of this project. Where the loss trains no head,
            the first nearest neighbours among them stand for the trial, else `knn`.
        objective: the metric on validation that picks the epoch and the trial. `best_head.METRIC` takes the
            best value among the network's own head and `heads`, which are then fitted after every epoch; null
            takes the usual metric for the data set's kind of labels. In a study file it may be a list: the
            search then looks for the best compromises.
        more_objectives: the list's further objectives, metrics or costs (`num_parameters`, `multiply_adds`).
        thresholds: where a sample may carry several labels, the score above which it is said to carry one;
            validation chooses it for each label and trial. `f1`: the greatest F1 of the label. `youden`: the
            greatest sensitivity + specificity - 1. `half`: one half, whatever validation says. All decisions
            follow it, those of an objective such as `macro_f1` too. Of exclusive labels the greatest score
            wins.
        weights: local files for backbones whose weights are `imagenet`, by the backbone's name.
    """

    data: DataSpec
    model: ModelSpec
    loss: Annotated[Component, slot("loss", "loss")] = Component(name="bce")
    optimiser: OptimiserSpec = OptimiserSpec()
    training: TrainingSpec = TrainingSpec()
    task: Annotated[Task, BeforeValidator(read_task, json_schema_input_type=TaskName | Task)] = (
        ClassificationSpec()
    )
    heads: Annotated[
        Literal["all"] | list[str], BeforeValidator(read_heads), WithJsonSchema(heads_schema())
    ] = ["knn", "logistic_regression"]
    objective: Annotated[str | None, WithJsonSchema(OBJECTIVE_SCHEMA)] = None
    more_objectives: list[str] = []
    thresholds: ThresholdRule = "f1"
    weights: dict[str, LocalPath] = {}

    @model_validator(mode="before")
    @classmethod
    def _first_objective(cls, data: object) -> object:
        """Takes a list of objectives apart: the first one picks epochs, the others are `more_objectives`."""
        if not isinstance(data, Mapping) or not isinstance(data.get("objective"), list):
            return data
        listed = data["objective"]
        if not listed or len(set(map(str, listed))) != len(listed):
            raise ValueError(f"`objective`: must be a metric or a list of different ones, got {listed!r}.")
        return {**data, "objective": listed[0], "more_objectives": listed[1:]}

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """A trial's specification from plain data.

        Raises:
            SpecError: a key is unknown or missing, or a value is out of its range; all of them, a line each.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise SpecError(components.validation_message(error, "", cls)) from None

    def dump(self) -> dict[str, Any]:
        """Plain data that `read` takes back."""
        return {key: _plain(getattr(self, key)) for key in type(self).model_fields}

    def fingerprint(self) -> str:
        """SHA-256 of all that decides what a training gives; trials with one fingerprint are one training.

        Components count with all of their arguments, those that a study file leaves out included. The places
        of data do not count.
        """
        whole = _plain(self, with_defaults=True)
        assert isinstance(whole, dict)
        del whole["data"]["root"], whole["data"]["split"]["file"]
        return sha256(json.dumps(whole, sort_keys=True, default=str).encode()).hexdigest()

    def repeated(self, *, seed: int, fold: int, folds: int) -> "TrialSpec":
        """The same configuration with another seed and, of several folds, one as the test set."""
        data, training = self.data, self.training.model_copy(update={"seed": seed})
        if folds > 1:
            split = data.split.model_copy(update={"folds": folds, "fold": fold, "file": None})
            data = data.model_copy(update={"split": split})
        return self.model_copy(update={"data": data, "training": training})


def _plain(value: object, kind: str = "", *, with_defaults: bool = False) -> object:
    """A value in the form of the study file, where a component is a mapping with its name and arguments.

    Args:
        value: The value.
        kind: Kind of the component, which is also the name of its slot.
        with_defaults: Whether components stand with the arguments that were left out.
    """
    if isinstance(value, Component):
        args = components.all_args(kind, value) if with_defaults else value.args
        return {"name": value.name, **args} if args else value.name
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        return {key: _plain(getattr(value, key), key, with_defaults=with_defaults) for key in fields}
    if isinstance(value, Mapping):
        return {key: _plain(item, with_defaults=with_defaults) for key, item in value.items()}
    return str(value) if isinstance(value, Path) else value

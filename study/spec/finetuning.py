"""The part `search.finetune` of a study file: the search's best trials, trained on end to end."""

import math
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from study.spec.errors import SpecError
from study.spec.reading import override
from study.spec.section import Section
from study.spec.trial_spec import TrialSpec

CHANGEABLE = ("data.augmentation.", "optimiser.", "training.", "model.backbone.freeze")
NOT_CHANGEABLE = {
    "training.epochs": "Set search.finetune.epochs.",
    "training.eye_weight": "Leave it out: the trial's own stays.",
    "training.supervision": "Leave it out: the trial's own stays.",
    "training.feature_bank": "Leave it out: fine-tuning draws ever new images.",
}


class FinetuneSpec(Section):
    """The best trials of a search on a frozen backbone are trained on end to end, each from its own weights.

    Batch norm that was frozen learns its statistics again, and the principal components of `reduce` are
    trained as any other layer.

    Source: Kumar et al. 2022, arXiv 2202.10054: first what stands behind a pretrained network, then all of
    it; Gordo et al. 2017, arXiv 1610.07940, for the components.

    Attributes:
        top: how many of the search's best trials are trained on.
        epochs: largest number of epochs of each of them.
        lr_scale: learning rate as a share of the trial's own, which was found for new layers and is too large
            for pretrained ones.
        settings: what else changes, by dotted key: keys of `training`, `optimiser` and `data.augmentation`,
            and `model.backbone.freeze` for a number of leading stages that stay frozen (none without it). An
            `optimiser.lr` among them takes the place of `lr_scale`.
    """

    top: Annotated[int, Field(ge=1)] = 3
    epochs: Annotated[int, Field(ge=1)] = 10
    lr_scale: Annotated[float, Field(gt=0)] = 0.1
    settings: dict[str, Any] = {}

    @model_validator(mode="after")
    def _keeps_the_network(self) -> Self:
        for key in self.settings:
            if not key.startswith(CHANGEABLE) or key in NOT_CHANGEABLE:
                hint = "Take keys of training, optimiser and data.augmentation, and model.backbone.freeze."
                raise ValueError(
                    "`search.finetune.settings`: must leave data, network and loss as they were, got "
                    f"`{key}`. {NOT_CHANGEABLE.get(key, hint)}"
                )
        return self


def finetuned(trial: TrialSpec, finetune: FinetuneSpec) -> TrialSpec:
    """The specification of a trial that is trained on end to end.

    Raises:
        SpecError: Nothing of the trial's backbone was frozen, or no less of it is now; or a setting is wrong.
    """
    settings = {
        "model.backbone.freeze": "none",
        "training.epochs": finetune.epochs,
        "training.feature_bank": 0,
        "optimiser.lr": finetune.lr_scale * trial.optimiser.lr,
        **finetune.settings,
    }
    try:
        changed = TrialSpec.read(override(trial.dump(), settings))
    except SpecError as error:
        raise SpecError(f"`search.finetune`: {error}") from None
    before, now = trial.model.backbone.freeze, changed.model.backbone.freeze
    if _frozen(before) == 0:
        raise SpecError(
            "`search.finetune`: needs a backbone that is frozen in every trial of the search, got "
            f"`model.backbone.freeze: {before}`. Set it to all or to a number of stages, or leave "
            "search.finetune out."
        )
    if _frozen(now) >= _frozen(before):
        raise SpecError(
            "`search.finetune.settings`: must leave less of the backbone frozen than the search did, got "
            f"`model.backbone.freeze: {now}` after {before}. Leave it out to train all of it."
        )
    return changed


def _frozen(freeze: str | int) -> float:
    """How many leading stages are frozen; infinite for all."""
    return {"none": 0.0, "all": math.inf}[freeze] if isinstance(freeze, str) else float(freeze)

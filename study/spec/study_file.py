"""The study file: everything that a study asks for, checked in every branch, its holes still open."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from study.spec import components
from study.spec.ablation import AblationSpec, AblationTraining, ablation_trainings
from study.spec.bundles import BUNDLES, check_bundles, unbundle
from study.spec.errors import SpecError, suggest
from study.spec.finetuning import finetuned
from study.spec.grid import combinations, grid_size
from study.spec.holes import Hole, Plain, Preset, Scalar, corners, fill, find_holes
from study.spec.holes import Sampler as HoleSampler
from study.spec.reading import override
from study.spec.resources import ResourcesSpec
from study.spec.searching import SearchSpec, check_search, enqueued_params
from study.spec.section import Section
from study.spec.sharing import SHARED_KEYS, refuse_holes, require_shared, shared_values
from study.spec.trial_spec import TrialSpec

PATH_KEYS = ("template.data.root", "template.data.split.file")
"""Keys of the identity that say where something lies; what lies there is compared instead."""


class StudySpec(Section):
    """A study file, checked in every branch, with its holes still in `template`.

    Attributes:
        study: short name, also the folder of the results.
        title: title of the report.
        template: data, model, loss, optimiser, training, objective, thresholds, weights and bundles, with
            holes.
        search: what is searched for and how.
        ablations: lists of variants by the name of their table.
        resources: what a trial gets and where Ray is.
        storage: folder, or URI of a file system that pyarrow knows.
        keep_weights: how many of the search's best trials keep their weights, and never fewer than are
            fine-tuned. Fine-tuned trials keep theirs, too.
        keep_weights_of: ablations of which each variant keeps the weights of its first seed, for heat maps
            side by side.
    """

    study: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    title: str = ""
    template: dict[str, Any]
    search: SearchSpec = SearchSpec()
    ablations: dict[str, AblationSpec] = {}
    resources: ResourcesSpec = ResourcesSpec()
    storage: str = "runs"
    keep_weights: Annotated[int, Field(ge=1)] = 3
    keep_weights_of: list[str] = []

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """Checks a study file's data in every branch and at both ends of every range.

        Raises:
            SpecError: the first filling with an error decides; all its errors are named, a line each.
        """
        in_template = {*TrialSpec.model_fields, BUNDLES}
        known = in_template | set(cls.model_fields) - {"template"}
        for key in data.keys() - known:
            raise SpecError(f"`{key}`: unknown key. {suggest(str(key), known)}")
        template = {key: value for key, value in data.items() if key in in_template}
        outside = {key: value for key, value in data.items() if key not in in_template}
        refuse_holes(outside, template)
        check_bundles(template, SHARED_KEYS)
        tables = outside.get("ablations")
        if isinstance(tables, Mapping):  # a profile leaves a table out by null
            outside["ablations"] = {name: table for name, table in tables.items() if table is not None}
        try:
            spec = cls.model_validate({**outside, "template": template})
        except ValidationError as error:
            raise SpecError(components.validation_message(error, "", cls)) from None
        spec._check_search_and_variants()
        return spec

    def _check_search_and_variants(self) -> None:
        num_objectives = 1 + len(self.corners()[0].more_objectives)
        check_search(self.search, self.template, self.holes(), num_objectives, self.resources.concurrent)
        shared = shared_values(self.preset({}))
        for table, ablation in self.ablations.items():
            for variant in ablation.variants:
                try:
                    trial = self.variant(table, variant, ablation.seeds[0], {})
                    require_shared(shared, shared_values(trial))
                except SpecError as error:
                    raise SpecError(f"`ablations.{table}.variants.{variant}`: {error}") from None
            self._check_tuning(table, ablation)
        self.finetuned_trials()

    def _check_tuning(self, table: str, ablation: AblationSpec) -> None:
        holes = self.holes()
        for name in ablation.tune.parameters if ablation.tune else ():
            where = f"`ablations.{table}.tune.parameters`"
            if name not in holes:
                hint = suggest(name, holes)
                raise SpecError(f"{where}: must be parameters that the study searches, got {name!r}. {hint}")
            for variant, settings in ablation.variants.items():
                if name not in dict(find_holes(override(self.template, settings))):
                    raise SpecError(
                        f"{where}: must be open in every variant, got `{name}`, which `{variant}` sets. "
                        "Leave it out of one of the two."
                    )

    @model_validator(mode="after")
    def _names_are_folder_names(self) -> Self:
        for table, ablation in self.ablations.items():
            for name in (table, *ablation.variants):
                if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]*", name):
                    raise ValueError(
                        f"`ablations.{table}`: a name must be of letters, digits, `_`, `.`, `+` and `-`, "
                        f"got {name!r}."
                    )
        return self

    @model_validator(mode="after")
    def _kept_tables_exist(self) -> Self:
        for table in self.keep_weights_of:
            if table not in self.ablations:
                hint = suggest(table, self.ablations)
                raise ValueError(
                    f"`keep_weights_of`: must name ablations of the study, got {table!r}. {hint}"
                )
        return self

    def fill(self, trial: HoleSampler) -> TrialSpec:
        """A trial's specification from what the sampler suggests."""
        return TrialSpec.read(unbundle(fill(self.template, trial)))

    def preset(self, params: Mapping[str, Scalar]) -> TrialSpec:
        """A trial's specification from parameters, with the first choice or the lower end for others."""
        return self.fill(Preset(params))

    def variant(self, table: str, variant: str, seed: int, params: Mapping[str, Scalar]) -> TrialSpec:
        """The specification of an ablation's trial on the study's own split.

        Args:
            table: name of the ablation.
            variant: name of the variant, whose settings are stronger than all others.
            seed: seed of the training.
            params: what fills the other holes; where one is not given, the first choice or the lower end
                does.
        """
        settings = {**self.ablations[table].variants[variant], "training.seed": seed}
        filled = fill(override(self.template, settings), Preset(params))
        return TrialSpec.read(unbundle(filled, kept=settings))

    def corners(self) -> list[TrialSpec]:
        """Specifications that together take every choice and both ends of every range.

        The first one takes the first choice and the lower end everywhere.

        Raises:
            SpecError: the first filling with an error.
        """
        return [TrialSpec.read(unbundle(filled)) for filled in corners(self.template)]

    def ablation_trial(self, training: AblationTraining, params: Mapping[str, Scalar]) -> TrialSpec:
        """The specification of one training of an ablation; `params` as in `variant`."""
        trial = self.variant(training.table, training.variant, training.seed, params)
        folds = self.ablations[training.table].folds
        return trial.repeated(seed=training.seed, fold=training.fold, folds=folds)

    def ablation_trials(self) -> list[TrialSpec]:
        """One specification for each variant, with the first choice or the lower end in other holes."""
        return [
            self.variant(table, variant, ablation.seeds[0], {})
            for table, ablation in self.ablations.items()
            for variant in ablation.variants
        ]

    def ablation_trainings(self) -> list[TrialSpec]:
        """Specifications of all that is trained for the ablations, with other holes as in `ablation_trials`.

        Trainings that are the same in several ablations are done once and stand once. Of those that tune a
        variant, one is the training of its first seed.
        """
        trainings = [
            self.ablation_trial(training, {})
            for table, ablation in self.ablations.items()
            for training in ablation_trainings(table, ablation)
        ]
        distinct = {trial.fingerprint(): trial for trial in trainings}
        tuning: list[TrialSpec] = []
        for table, ablation in self.ablations.items():
            num = ablation.tune.trials - 1 if ablation.tune else 0
            for variant in ablation.variants:
                tuning += [self.variant(table, variant, ablation.seeds[0], {})] * num
        return [*distinct.values(), *tuning]

    def finetuned_trials(self) -> list[TrialSpec]:
        """The corners as they are trained on end to end; none where nothing is fine-tuned.

        Raises:
            SpecError: one of them cannot be fine-tuned.
        """
        finetune = self.search.finetune
        return [finetuned(trial, finetune) for trial in self.corners()] if finetune else []

    def trials_to_check(self) -> list[TrialSpec]:
        """Specifications that stand for what is trained from new weights: the corners, then the ablations."""
        return [*self.corners(), *self.ablation_trials()]

    def holes(self) -> dict[str, Hole]:
        """Every searched parameter by its name."""
        return dict(find_holes(self.template))

    @property
    def num_trials(self) -> int:
        """Number of trials of the search: `trials`, or of a grid its combinations and those of `enqueue`."""
        if self.search.sampler != "grid":
            return self.search.trials
        enqueued = enqueued_params(self.search, self.template)
        return sum(1 for _ in self._grid(enqueued)) if enqueued else grid_size(self.template)

    @property
    def num_repeats(self) -> int:
        """Number of repeats of the search's best configurations: every seed with every fold of each."""
        confirm = self.search.confirm
        return min(confirm.top, self.num_trials) * len(confirm.seeds) * confirm.folds if confirm else 0

    @property
    def num_finetuned(self) -> int:
        """Number of the search's best trials that are trained on end to end."""
        finetune = self.search.finetune
        return min(finetune.top, self.num_trials) if finetune else 0

    def planned_params(self) -> list[dict[str, Scalar]]:
        """Parameters of the trials that no sampler decides, in order: those of `enqueue`, and a grid's."""
        enqueued = enqueued_params(self.search, self.template)
        return list(self._grid(enqueued)) if self.search.sampler == "grid" else enqueued

    def _grid(self, enqueued: list[dict[str, Scalar]]) -> Iterator[dict[str, Scalar]]:
        yield from enqueued
        yield from (params for params in combinations(self.template) if params not in enqueued)

    def identity(self) -> dict[str, Plain]:
        """All that can change a result, as flat data.

        It is the study without its title, resources and storage, without the number of kept weights, and
        without the places of its data.
        """
        kept = self.model_dump(
            mode="json", exclude={"title", "resources", "storage", "keep_weights", "keep_weights_of"}
        )
        del kept["search"]["max_consecutive_failures"]
        if self.search.parallel == "deterministic":
            kept["search"]["concurrent"] = self.resources.concurrent
        flat = _flat(json.loads(json.dumps(kept, default=str)))
        return {key: value for key, value in flat.items() if key not in PATH_KEYS}


def _flat(value: Plain, where: str = "") -> dict[str, Plain]:
    """Nested mappings as one mapping with dotted keys; lists stay whole."""
    if not isinstance(value, Mapping) or not value:
        return {where: value}
    flat: dict[str, Plain] = {}
    for key, item in value.items():
        flat.update(_flat(item, f"{where}.{key}" if where else str(key)))
    return flat

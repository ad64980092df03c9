"""The study file: everything that a study asks for, checked in every branch, its holes still open."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from study.spec import components
from study.spec.bundles import KEY as BUNDLES
from study.spec.bundles import check_bundles, unbundle
from study.spec.errors import SpecError, suggest
from study.spec.grid import combinations, grid_size
from study.spec.holes import Hole, Preset, Scalar, corners, fill, find_holes
from study.spec.holes import Sampler as HoleSampler
from study.spec.reading import override
from study.spec.searching import SearchSpec, check_search, enqueued
from study.spec.section import Section
from study.spec.trial_spec import TrialSpec


class AblationSpec(Section):
    """A named list of variants, each trained with every seed; the name says which table of the report it fills.

    Attributes:
        base: `best` fills the holes as in the search's best trial, `first` with the first choice and the lower end.
        variants: settings by dotted key, by the variant's name.
    """

    base: Literal["best", "first"] = "best"
    seeds: Annotated[list[int], Field(min_length=1)] = [0]
    variants: Annotated[dict[str, dict[str, Any]], Field(min_length=1)]


class ResourcesSpec(Section):
    """What a trial gets and where Ray is. None of this changes a result but by ending a trial, or by parting its batches.

    Attributes:
        address: `local` starts Ray on this machine, `auto` or `host:port` joins a cluster.
        workers: devices of one trial; above 1 they train it together (DDP).
        cpus_per_worker: CPU cores of one worker; null shares the machine's cores between the concurrent trials.
        gpus_per_worker: GPUs of one worker, may be a fraction; null takes one where the cluster has any.
        concurrent: trials at a time; null as many as fit.
        time_limit_s: seconds after which a trial is ended as failed; null for none.
        on_out_of_memory: `halve` tries a trial again with batches worked on in halves whose gradients are added, `fail` gives it up.
    """

    address: str = "local"
    workers: Annotated[int, Field(ge=1)] = 1
    cpus_per_worker: Annotated[float, Field(gt=0)] | None = None
    gpus_per_worker: Annotated[float, Field(ge=0)] | None = None
    concurrent: Annotated[int, Field(ge=1)] | None = None
    time_limit_s: Annotated[float, Field(gt=0)] | None = None
    on_out_of_memory: Literal["halve", "fail"] = "halve"


class StudySpec(Section):
    """A study file, checked in every branch, with its holes still in `template`.

    Attributes:
        study: short name, also the folder of the results.
        template: data, model, loss, optimiser, training, objective, weights and bundles, with holes.
        keep_weights: how many of the search's best trials keep their weights.
        keep_weights_of: ablations of which each variant keeps the weights of its first seed, for heat maps side by side.
        storage: folder, or URI of a file system that pyarrow knows.
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
    def read(cls, data: Mapping[str, Any]) -> "StudySpec":
        """Checks a study file's data in every branch and at both ends of every range.

        Raises:
            SpecError: the first filling with an error decides; all its errors are named, a line each.
        """
        parts = {*TrialSpec.model_fields, BUNDLES}
        known = parts | set(cls.model_fields) - {"template"}
        for key in data.keys() - known:
            raise SpecError(f"`{key}`: unknown key. {suggest(str(key), known)}")
        template = {key: value for key, value in data.items() if key in parts}
        fixed = {key: value for key, value in data.items() if key not in parts}
        _refuse_holes(fixed, template)
        check_bundles(template, FIXED)
        if isinstance(fixed.get("ablations"), Mapping):  # a profile leaves a table out by null
            fixed["ablations"] = {
                table: ablation for table, ablation in fixed["ablations"].items() if ablation is not None
            }
        try:
            spec = cls.model_validate({**fixed, "template": template})
        except ValidationError as error:
            raise SpecError(components.validation_message(error, "", cls)) from None
        first = spec.corners()[0]
        check_search(
            spec.search, template, spec.holes(), 1 + len(first.more_objectives), spec.resources.concurrent
        )
        for table, ablation in spec.ablations.items():
            for variant in ablation.variants:
                try:
                    spec.variant(table, variant, ablation.seeds[0], {})
                except SpecError as error:
                    raise SpecError(f"`ablations.{table}.variants.{variant}`: {error}") from None
        return spec

    @model_validator(mode="after")
    def _names_are_folder_names(self) -> "StudySpec":
        for table, ablation in self.ablations.items():
            for name in (table, *ablation.variants):
                if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]*", name):
                    raise ValueError(
                        f"`ablations.{table}`: a name must be of letters, digits, `_`, `.`, `+` and `-`, got {name!r}."
                    )
        return self

    @model_validator(mode="after")
    def _kept_tables_are_there(self) -> "StudySpec":
        for table in self.keep_weights_of:
            if table not in self.ablations:
                raise ValueError(
                    f"`keep_weights_of`: must name ablations of the study, got {table!r}. {suggest(table, self.ablations)}"
                )
        return self

    def variant(self, table: str, variant: str, seed: int, params: Mapping[str, Scalar]) -> TrialSpec:
        """An ablation's variant: the template with the variant's settings, its other holes filled by the given parameters."""
        settings = {**self.ablations[table].variants[variant], "training.seed": seed}
        return TrialSpec.read(
            unbundle(fill(override(self.template, settings), Preset(params)), kept=settings)
        )

    def fill(self, trial: HoleSampler) -> TrialSpec:
        """A trial's specification from what the sampler suggests."""
        return TrialSpec.read(unbundle(fill(self.template, trial)))

    def preset(self, params: Mapping[str, Scalar]) -> TrialSpec:
        """A trial's specification from given parameters; where one is not given, the first choice or the lower end."""
        return self.fill(Preset(params))

    def corners(self) -> list[TrialSpec]:
        """Specifications that together take every choice and both ends of every range, the first filling first.

        Raises:
            SpecError: the first filling with an error.
        """
        return [TrialSpec.read(unbundle(filled)) for _, filled in corners(self.template)]

    def holes(self) -> dict[str, Hole]:
        """Every searched parameter by its name."""
        return dict(find_holes(self.template))

    @property
    def num_trials(self) -> int:
        """Trials of the search: as asked, or as many as a grid has, and those of `enqueue` that are none of its combinations."""
        if self.search.sampler != "grid":
            return self.search.trials
        first = self.firsts()
        return grid_size(self.template) if not first else sum(1 for _ in self._grid(first))

    @property
    def num_repeats(self) -> int:
        """Trials that repeat the search's best configurations: of each one every seed, with every fold."""
        confirm = self.search.confirm
        return min(confirm.top, self.num_trials) * len(confirm.seeds) * confirm.folds if confirm else 0

    def firsts(self) -> list[dict[str, Scalar]]:
        """Parameters of the settings that are tried first."""
        return enqueued(self.search, self.template)

    def _grid(self, first: list[dict[str, Scalar]]) -> Iterator[dict[str, Scalar]]:
        yield from first
        yield from (params for params in combinations(self.template) if params not in first)

    def given(self) -> list[dict[str, Scalar]]:
        """Parameters of the trials that no sampler decides, by their number: those tried first, and all of a grid."""
        return self.firsts() if self.search.sampler != "grid" else list(self._grid(self.firsts()))

    def identity(self) -> dict[str, Any]:
        """All that can change a result, as flat data: the study less its title, resources, storage and where its data lie."""
        kept = self.model_dump(
            mode="json", exclude={"title", "resources", "storage", "keep_weights", "keep_weights_of"}
        )
        del kept["search"]["max_consecutive_failures"]
        if self.search.parallel == "deterministic":
            kept["search"]["concurrent"] = self.resources.concurrent
        return {
            key: value
            for key, value in _flat(json.loads(json.dumps(kept, default=str))).items()
            if key not in PLACES
        }

    def identity_hash(self) -> str:
        """SHA-256 of the identity."""
        return hashlib.sha256(json.dumps(self.identity(), sort_keys=True).encode()).hexdigest()


PLACES = ("template.data.root", "template.data.split.file")  # what lies there is compared instead
_DATA_FIXED = ("dataset", "root", "phantom_patients", "unit", "split", "missing_eye", "on_bad_image")
FIXED = (*(f"data.{key}" for key in _DATA_FIXED), "task", "heads", "objective", "more_objectives", "weights")


def _refuse_holes(fixed: Mapping[str, Any], template: Mapping[str, Any]) -> None:
    """A hole may stand only where a trial can differ from another on the same data and split."""
    plain = {key: value for key, value in fixed.items() if key not in ("profiles", "ablations")}
    places = [path for path, _ in find_holes(plain)]
    places += [path for path, _ in find_holes(template) if path.startswith(FIXED)]
    if places:
        raise SpecError(
            f"`{places[0]}`: must be one value, since all trials share it, got a hole. "
            "Holes may stand in model, loss, optimiser, training and the image settings of data."
        )
    for path, hole in find_holes(template):
        if "data.generated." in path and hole.choices is None and not path.endswith(".share"):
            raise SpecError(
                f"`{path}`: must be one value or a list of choices, since generators are trained anew for each, got a range. "
                "Write {type: categorical, choices: [...]}."
            )


def _flat(value: Any, where: str = "") -> dict[str, Any]:
    """Nested mappings as one mapping with dotted keys; lists stay whole."""
    if not isinstance(value, Mapping) or not value:
        return {where: value}
    return {
        k: v
        for key, item in value.items()
        for k, v in _flat(item, f"{where}.{key}" if where else str(key)).items()
    }

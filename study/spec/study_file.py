"""The study file: what a study asks for (`StudySpec`, may have holes) and what one training needs (`TrialSpec`, has none)."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError, WithJsonSchema, model_validator

from study.spec import components
from study.spec.bundles import KEY as BUNDLES
from study.spec.bundles import check_bundles, unbundle
from study.spec.components import Component
from study.spec.errors import SpecError, suggest
from study.spec.grid import combinations, grid_size
from study.spec.holes import Hole, Preset, Scalar, corners, fill, find_holes
from study.spec.holes import Sampler as HoleSampler
from study.spec.reading import override
from study.spec.searching import STRICT, SearchSpec, check_search, enqueued

SHARE = Annotated[float, Field(ge=0, le=1)]
OBJECTIVE_SCHEMA = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}, {"type": "null"}]}
# A trial runs in another process with another working directory, so paths are made absolute where they are read.
LOCAL = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]


class Section(BaseModel):
    """A part of the study file: unknown keys are errors, values do not change."""

    model_config = STRICT


def slot(kind: str, where: str) -> BeforeValidator:
    """Reads a component from a name, or from a mapping with `name` and its arguments."""
    return BeforeValidator(lambda value: components.parse(kind, value, where))


class CutMixSpec(Section):
    """A rectangle of a training image is replaced by the same rectangle of another training sample's image of the same side.

    Attributes:
        kind: the other sample has the same labels (`same_label`), or any, labels being mixed by area (`standard`).
        probability: share of samples that are changed.
        box: one rectangle for both eyes of a pair, or one for each.
    """

    kind: Literal["none", "same_label", "standard"] = "none"
    probability: SHARE = 0.5
    box: Literal["shared", "per_eye"] = "shared"


class AugmentationSpec(Section):
    """Pair-consistent augmentation of training batches; zero switches a part off.

    Attributes:
        flip: mirror half of the samples left to right and exchange their eyes; single images are only mirrored.
        flip_vertical: turn half of the samples upside down.
        crop: smallest share of its area that a random crop of an image keeps; 1 crops nothing.
        rotate_deg: largest rotation, either way.
        scale: largest relative change of size.
        brightness: largest relative change, the same for both eyes; likewise contrast and saturation.
        cutmix: what is pasted from other training samples.
    """

    flip: bool = True
    flip_vertical: bool = False
    crop: Annotated[float, Field(gt=0, le=1)] = 1.0
    rotate_deg: Annotated[float, Field(ge=0, le=180)] = 10.0
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.05
    brightness: SHARE = 0.1
    contrast: SHARE = 0.1
    saturation: SHARE = 0.1
    cutmix: CutMixSpec = CutMixSpec()


class SplitSpec(Section):
    """Shares of patients, or a split file of one's own; with `folds` above 1 fold `fold` is the test set.

    Attributes:
        group_duplicates: patients whose photographs show the same eye come to one side; a file of one's own is taken as it is.
    """

    val: Annotated[float, Field(gt=0, lt=1)] = 0.15
    test: Annotated[float, Field(gt=0, lt=1)] = 0.15
    seed: int = 0
    folds: Annotated[int, Field(ge=1)] = 1
    fold: Annotated[int, Field(ge=0)] = 0
    file: LOCAL | None = None
    group_duplicates: bool = True


class GeneratedSpec(Section):
    """Training images that generators make, one a class, each trained on the real images of the training split alone.

    Attributes:
        generator: the network that makes them.
        share: how much of the training samples is generated: 1 for generated images only, as many as there are real ones; below 1
            all real ones stay.
        epochs: passes of each generator over the images of its class.
        seed: of the generators and of what they make.
    """

    generator: Annotated[Component, slot("generator", "data.generated.generator")] = Component(name="dcgan")
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    epochs: Annotated[int, Field(ge=1)] = 500
    seed: Annotated[int, Field(ge=0)] = 0


class CropBoxSpec(Section):
    """A rectangle in pixels of the photograph; `right` and the lower edge lie one pixel outside.

    Attributes:
        origin: where rows are counted from; at `bottom_left` upwards, so that `top` is above `bottom`.
    """

    left: Annotated[int, Field(ge=0)]
    top: Annotated[int, Field(ge=0)]
    right: Annotated[int, Field(ge=0)]
    bottom: Annotated[int, Field(ge=0)]
    origin: Literal["top_left", "bottom_left"] = "top_left"

    @model_validator(mode="after")
    def _has_an_inside(self) -> "CropBoxSpec":
        upper, lower = (self.top, self.bottom) if self.origin == "top_left" else (self.bottom, self.top)
        if self.left >= self.right or upper >= lower:
            rule = "left < right and " + ("top < bottom" if self.origin == "top_left" else "top > bottom")
            got = f"left {self.left}, top {self.top}, right {self.right}, bottom {self.bottom}"
            raise ValueError(f"`data.crop_box`: must have {rule} with the origin {self.origin}, got {got}.")
        return self


class DataSpec(Section):
    """Which images, how they are prepared, and who is in which split.

    Attributes:
        root: where the data set lies; without one, and without STUDY_ROOT_<DATASET>, the built-in phantom stands in.
        phantom_patients: number of patients of that stand-in.
        unit: what a sample is, both eyes of a patient or each eye by itself.
        image_px: side of the square image in pixels.
        crop: `fov` cuts to the field of view of the fundus camera.
        crop_box: cuts every photograph to the same rectangle instead; needs `crop: none`.
        fit: how a crop becomes square, by padding with black or by stretching.
        illumination: correction of the light, after crop and resize.
        align: `flip_right` mirrors the right eye's image left to right, so that both eyes have one orientation, in every split.
        normalise: channel statistics, ImageNet's or mean and standard deviation of one half.
        missing_eye: what happens to a patient with one image.
        on_bad_image: what happens when an image cannot be read.
        generated: generated images among the training samples; null has none.
    """

    dataset: Annotated[Component, slot("dataset", "data.dataset")]
    root: LOCAL | None = None
    phantom_patients: Annotated[int, Field(ge=20)] = 240
    unit: Literal["pair", "eye"] = "pair"
    image_px: Annotated[int, Field(ge=16, le=4096)] = 224
    crop: Literal["fov", "none"] = "fov"
    crop_box: CropBoxSpec | None = None
    fit: Literal["pad", "stretch"] = "pad"
    illumination: Annotated[Component, slot("illumination", "data.illumination")] = Component(name="none")
    align: Literal["none", "flip_right"] = "none"
    normalise: Literal["imagenet", "half"] = "imagenet"
    missing_eye: Literal["skip", "duplicate"] = "skip"
    on_bad_image: Literal["error", "skip"] = "error"
    augmentation: AugmentationSpec = AugmentationSpec()
    split: SplitSpec = SplitSpec()
    generated: GeneratedSpec | None = None

    @model_validator(mode="after")
    def _is_cropped_once(self) -> "DataSpec":
        if self.crop_box is not None and self.crop != "none":
            raise ValueError(f"`data.crop_box`: cuts the image itself and needs `data.crop: none`, got {self.crop}. Set it to none.")
        return self


class BackboneSpec(Section):
    """One network for both eyes, by torchvision's or timm's name.

    Attributes:
        weights: `none`, `imagenet`, or a local file (safetensors, or a state dict).
        freeze: `none`, `all`, or how many leading stages stay as they are.
        drop_stages: how many of the last stages are left out.
    """

    name: str
    weights: Annotated[str, AfterValidator(lambda w: w if w in ("none", "imagenet") else str(Path(w).expanduser().absolute()))] = "none"
    freeze: Literal["none", "all"] | Annotated[int, Field(ge=0)] = "none"
    drop_stages: Annotated[int, Field(ge=0)] = 0


class EmbeddingSpec(Section):
    """The vector on which heads and metric losses work.

    Attributes:
        dim: length after a linear layer; null keeps the fused vector.
        l2norm: project onto the unit sphere, where distances lie between 0 and 2.
    """

    dim: Annotated[int, Field(ge=2)] | None = None
    l2norm: bool = False


class ModelSpec(Section):
    """The slots of the siamese network, in the order in which an image passes them.

    Attributes:
        attention_at: after the backbone (`last`), or inside it after every stage, or in its last or every residual block.
    """

    backbone: Annotated[BackboneSpec, BeforeValidator(lambda v: {"name": v} if isinstance(v, str) else v)]
    context: Annotated[Component, slot("context", "model.context")] = Component(name="none")
    attention: Annotated[Component, slot("attention", "model.attention")] = Component(name="none")
    attention_at: Literal["last", "every_stage", "last_block", "every_block"] = "last"
    pooling: Annotated[Component, slot("pooling", "model.pooling")] = Component(name="average")
    fusion: Annotated[Component, slot("fusion", "model.fusion")] = Component(name="concat")
    embedding: EmbeddingSpec = EmbeddingSpec()
    head: Annotated[Component, slot("head", "model.head")] = Component(name="multi_label")


class OptimiserSpec(Section):
    """AdamW with a cosine schedule.

    Attributes:
        backbone_lr_scale: the backbone's learning rate as a share of `lr`.
        layer_decay: rate of each stage of the backbone (block of a transformer) as a share of that of the one after it.
    """

    lr: Annotated[float, Field(gt=0, le=1)] = 1e-4
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-2
    backbone_lr_scale: SHARE = 1.0
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0


class TrainingSpec(Section):
    """How long and how a network is trained.

    Attributes:
        accumulate: parts in which a batch is worked on, their gradients added: less memory, but batch statistics and losses
            among the samples of a batch see the part alone.
        patience: epochs without a better validation value before training ends.
        precision: `auto` takes bfloat16 on a GPU that has it and 32 bit elsewhere.
        sampling: `class_balanced` fills batches with the same number of images of each class; only for classes and grades.
        eye_weight: weight of the loss on each eye's own labels, where they are known; 0 leaves it out.
    """

    epochs: Annotated[int, Field(ge=1)] = 30
    batch_size: Annotated[int, Field(ge=2)] = 16
    accumulate: Annotated[int, Field(ge=1)] = 1
    warmup_epochs: Annotated[float, Field(ge=0)] = 1
    clip_norm: Annotated[float, Field(gt=0)] = 1.0
    patience: Annotated[int, Field(ge=1)] = 10
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    sampling: Literal["shuffle", "class_balanced"] = "shuffle"
    eye_weight: SHARE = 0.0
    seed: int = 0


class ClassificationSpec(Section):
    """The task of saying which labels a sample carries."""

    name: Literal["classification"] = "classification"


class RetrievalSpec(Section):
    """The task of finding training samples of the query's class or grade; queries are the validation and test samples.

    Attributes:
        exclude_same_patient: false adds the other samples of a query's patient (the fellow eye) to its gallery, as a split by image does.
        distance: between embeddings.
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
        raise SpecError(f"`task`: must be a task's name or a mapping with `name`, got {value!r}. {suggest(name, TASKS)}")
    try:
        return TASKS[name].model_validate(given)
    except ValidationError as error:
        raise SpecError(components.explain(error, "task", TASKS[name])) from None


class TrialSpec(Section):
    """Everything one training needs; no hole is left, and training code sees nothing else.

    Attributes:
        task: what the network is for; it decides which objectives there are.
        heads: classifiers that are fitted on the embedding of every trial after its training, by name; `all` for every one there is.
        objective: the metric on validation that picks the epoch and the trial; `best_head.METRIC` takes the best value of the network's
            own head and `heads`, which are then fitted after every epoch; null takes the data set kind's own. In a study file
            it may be a list: the search then looks for the best compromises.
        more_objectives: the list's others, metrics or costs (`num_parameters`, `multiply_adds`).
        weights: local files for backbones whose weights are `imagenet`, by the backbone's name.
    """

    data: DataSpec
    model: ModelSpec
    loss: Annotated[Component, slot("loss", "loss")] = Component(name="bce")
    optimiser: OptimiserSpec = OptimiserSpec()
    training: TrainingSpec = TrainingSpec()
    task: Annotated[Task, BeforeValidator(read_task, json_schema_input_type=TaskName | Task)] = ClassificationSpec()
    heads: Literal["all"] | list[str] = ["knn", "logistic_regression"]
    objective: Annotated[str | None, WithJsonSchema(OBJECTIVE_SCHEMA)] = None
    more_objectives: list[str] = []
    weights: dict[str, LOCAL] = {}

    @model_validator(mode="before")
    @classmethod
    def _first_objective(cls, data: Any) -> Any:
        """A list of objectives is the one that picks epochs, and more."""
        listed = data.get("objective") if isinstance(data, Mapping) else None
        if not isinstance(listed, list):
            return data
        if not listed or len(set(map(str, listed))) != len(listed):
            raise ValueError(f"`objective`: must be a metric or a list of different ones, got {listed!r}.")
        return {**data, "objective": listed[0], "more_objectives": listed[1:]}

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> "TrialSpec":
        """Checked from plain data.

        Raises:
            SpecError: anything unknown, missing or out of range, all at once, a line each.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise SpecError(components.explain(error, "", cls)) from None

    def dump(self) -> dict[str, Any]:
        """Plain data that `read` takes back."""
        return {key: _plain(getattr(self, key)) for key in type(self).model_fields}


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
            fixed["ablations"] = {table: ablation for table, ablation in fixed["ablations"].items() if ablation is not None}
        try:
            spec = cls.model_validate({**fixed, "template": template})
        except ValidationError as error:
            raise SpecError(components.explain(error, "", cls)) from None
        first = spec.corners()[0]
        check_search(spec.search, template, spec.holes(), 1 + len(first.more_objectives), spec.resources.concurrent)
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
                    raise ValueError(f"`ablations.{table}`: a name must be of letters, digits, `_`, `.`, `+` and `-`, got {name!r}.")
        return self

    @model_validator(mode="after")
    def _kept_tables_are_there(self) -> "StudySpec":
        for table in self.keep_weights_of:
            if table not in self.ablations:
                raise ValueError(f"`keep_weights_of`: must name ablations of the study, got {table!r}. {suggest(table, self.ablations)}")
        return self

    def variant(self, table: str, variant: str, seed: int, params: Mapping[str, Scalar]) -> TrialSpec:
        """An ablation's variant: the template with the variant's settings, its other holes filled by the given parameters."""
        settings = {**self.ablations[table].variants[variant], "training.seed": seed}
        return TrialSpec.read(unbundle(fill(override(self.template, settings), Preset(params)), kept=settings))

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
        kept = self.model_dump(mode="json", exclude={"title", "resources", "storage", "keep_weights", "keep_weights_of"})
        del kept["search"]["max_consecutive_failures"]
        if self.search.parallel == "deterministic":
            kept["search"]["concurrent"] = self.resources.concurrent
        return {key: value for key, value in _flat(json.loads(json.dumps(kept, default=str))).items() if key not in PLACES}

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


def _plain(value: Any) -> Any:
    """Models as plain data in the study file's own form: a component is a mapping with `name` and its arguments."""
    if isinstance(value, Component):
        return {"name": value.name, **value.args} if value.args else value.name
    if isinstance(value, BaseModel):
        return {key: _plain(getattr(value, key)) for key in type(value).model_fields}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return str(value) if isinstance(value, Path) else value


def _flat(value: Any, where: str = "") -> dict[str, Any]:
    """Nested mappings as one mapping with dotted keys; lists stay whole."""
    if not isinstance(value, Mapping) or not value:
        return {where: value}
    return {k: v for key, item in value.items() for k, v in _flat(item, f"{where}.{key}" if where else str(key)).items()}

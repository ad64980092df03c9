"""The part `data` of a study file: which images, how they are prepared, and who is in which split."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from study.spec.components import Component
from study.spec.section import LocalPath, Place, Section, Share, slot


class CutMixSpec(Section):
    """CutMix: a rectangle of a training image is replaced by the same rectangle of another sample's image.

    A left eye gets its rectangle from the other sample's left eye, a right eye from the right one.

    Attributes:
        kind: `same_label` takes another training sample with the same labels; `standard` takes any, and mixes
            the labels by area.
        probability: share of samples that are changed.
        box: `shared` takes one rectangle for both eyes of a pair, `per_eye` one for each.
    """

    kind: Literal["none", "same_label", "standard"] = "none"
    probability: Share = 0.5
    box: Literal["shared", "per_eye"] = "shared"


class AugmentationSpec(Section):
    """Random changes of training images that keep a pair a pair; zero switches a change off.

    Attributes:
        flip: mirror half of the samples left to right and exchange their eyes; single images are only
            mirrored.
        flip_vertical: turn half of the samples upside down.
        crop: smallest share of its area that a random crop of an image keeps; 1 crops nothing.
        rotate_deg: largest rotation in degrees, either way.
        scale: largest relative change of size.
        brightness: largest relative change of brightness, the same for both eyes.
        contrast: largest relative change of contrast, the same for both eyes.
        saturation: largest relative change of saturation, the same for both eyes.
        cutmix: what is pasted from other training samples.
    """

    flip: bool = True
    flip_vertical: bool = False
    crop: Annotated[float, Field(gt=0, le=1)] = 1.0
    rotate_deg: Annotated[float, Field(ge=0, le=180)] = 10.0
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.05
    brightness: Share = 0.1
    contrast: Share = 0.1
    saturation: Share = 0.1
    cutmix: CutMixSpec = CutMixSpec()


class SplitSpec(Section):
    """How patients are divided into training, validation and test.

    Attributes:
        val: share of the patients for validation.
        test: share of the patients for the test, where `folds` is 1.
        seed: seed of the division.
        folds: number of folds; above 1 each fold is the test set in turn.
        fold: the fold that is the test set, from 0.
        file: a split file of one's own, which is taken as it is.
        group_duplicates: whether patients whose photographs show the same eye come to the same split.
    """

    val: Annotated[float, Field(gt=0, lt=1)] = 0.15
    test: Annotated[float, Field(gt=0, lt=1)] = 0.15
    seed: int = 0
    folds: Annotated[int, Field(ge=1)] = 1
    fold: Annotated[int, Field(ge=0)] = 0
    file: LocalPath | None = None
    group_duplicates: bool = True

    @property
    def train_share(self) -> float:
        """Share of the patients for training, where no file says otherwise."""
        return 1 - self.val - (1 / self.folds if self.folds > 1 else self.test)


class GeneratedSpec(Section):
    """Training images that generators make, each trained on the real training images of one class.

    Attributes:
        generator: the network that makes the images.
        share: share of generated images among the training samples. Below 1 all real ones stay; 1 replaces
            them by as many generated ones.
        epochs: number of passes of each generator over the images of its class.
        seed: seed of the generators and of the images that they make.
    """

    generator: Annotated[Component, slot("generator", "data.generated.generator")] = Component(name="dcgan")
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    epochs: Annotated[int, Field(ge=1)] = 500
    seed: Annotated[int, Field(ge=0)] = 0


class CropBoxSpec(Section):
    """A rectangle in pixels of the photograph.

    The column `right` and the row of the lower edge lie just outside of it.

    Attributes:
        left: first column.
        top: row of the upper edge.
        right: column after the last.
        bottom: row of the lower edge.
        origin: corner that rows are counted from: `top_left` downwards, so that `top` is smaller than
            `bottom`, or `bottom_left` upwards, so that `top` is larger.
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
            rule = f"left < right and top {'<' if self.origin == 'top_left' else '>'} bottom"
            got = f"left {self.left}, top {self.top}, right {self.right}, bottom {self.bottom}"
            raise ValueError(f"`data.crop_box`: must have {rule} with the origin {self.origin}, got {got}.")
        return self


class DataSpec(Section):
    """Which images are used, how they are prepared, and who is in which split.

    Attributes:
        dataset: the data set, by name or with its arguments.
        root: where the data set lies, on each machine or as a URI (`s3://bucket/odir5k`), which each machine
            copies once into its cache; without one, and without STUDY_ROOT_<DATASET>, the built-in phantom
            stands in.
        phantom_patients: number of patients of that stand-in.
        unit: what a sample is: both eyes of a patient (`pair`), or each eye by itself (`eye`).
        frame: which frame is taken of a DICOM or TIFF file that has several, from 1.
        image_px: side of the square image in pixels.
        crop: `fov` cuts to the field of view of the fundus camera.
        crop_box: cuts every photograph to the same rectangle instead; needs `crop: none`.
        fit: how a crop becomes square, by padding with black or by stretching.
        illumination: correction of the light, after crop and resize.
        align: `flip_right` mirrors the right eye's image left to right in every split, so that both eyes have
            one orientation.
        normalise: mean and standard deviation of the channels: those of ImageNet, or one half for both
            (`half`).
        missing_eye: what happens to a patient with one image: left out (`skip`), or shown as both eyes
            (`duplicate`).
        on_bad_image: whether an image that cannot be read ends the study (`error`) or its samples are left
            out (`skip`).
        augmentation: random changes of training images.
        split: how patients are divided into training, validation and test.
        generated: generated images among the training samples; null for none.
    """

    dataset: Annotated[Component, slot("dataset", "data.dataset")]
    root: Place | None = None
    phantom_patients: Annotated[int, Field(ge=20)] = 240
    unit: Literal["pair", "eye"] = "pair"
    frame: Annotated[int, Field(ge=1)] = 1
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
            raise ValueError(
                "`data.crop_box`: cuts the image itself and needs `data.crop: none`, "
                f"got {self.crop}. Set it to none."
            )
        return self

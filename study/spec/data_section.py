"""The part `data` of a study file: which images, how they are prepared, and who is in which split."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from study.spec.components import Component
from study.spec.section import LOCAL, SHARE, Section, slot


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
            raise ValueError(
                f"`data.crop_box`: cuts the image itself and needs `data.crop: none`, got {self.crop}. Set it to none."
            )
        return self

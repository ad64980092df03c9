"""Settings that make no sense for the samples are refused before any training; others are accepted."""

import re
from typing import Any

import pytest

from study.data.pairs import Pairs
from study.data.source import open_dataset
from study.engine.training.checks import check_suits
from study.spec.components import Component
from study.spec.data_section import DataSpec
from study.spec.errors import SpecError
from study.spec.trial_spec import TrialSpec

PAIRS = open_dataset(DataSpec(dataset=Component(name="odir5k"), phantom_patients=40))
SINGLES = open_dataset(DataSpec(dataset=Component(name="folders"), phantom_patients=20))
GRADES = open_dataset(DataSpec(dataset=Component(name="eyepacs"), phantom_patients=40))


def spec(data: dict[str, Any] | None = None, **parts: Any) -> TrialSpec:
    return TrialSpec.read(
        {
            "data": {"dataset": "odir5k", "image_px": 32, **(data or {})},
            "model": {"backbone": "tiny"},
            **parts,
        }
    )


def cutmix(kind: str, **more: float) -> dict[str, Any]:
    return {"augmentation": {"cutmix": {"kind": kind, **more}}}


LATE = {"backbone": "tiny", "fusion": "late"}
EYES = {"supervision": "eyes"}
FROZEN = {"backbone": {"name": "tiny", "freeze": "all"}}
POWERSET = {"backbone": "tiny", "head": "powerset"}


@pytest.mark.parametrize(
    ("trial", "pairs", "message"),
    [
        (
            spec({"align": "flip_right"}),
            SINGLES,
            "`data.align`: `flip_right` needs samples that are pairs of eyes, got single images",
        ),
        (
            spec(training={"sampling": "class_balanced"}),
            PAIRS,
            "`training.sampling`: `class_balanced` needs exactly one label a sample",
        ),
        (
            spec(cutmix("standard"), loss="focal"),
            PAIRS,
            "`standard` mixes labels, got the loss `focal` with the head `multi_label`",
        ),
        (
            spec(cutmix("standard"), loss="contrastive"),
            PAIRS,
            "Set it to same_label, or take one of the losses asymmetric, bce, cross_entropy",
        ),
        (
            spec(cutmix("standard"), loss="cross_entropy", model=POWERSET),
            PAIRS,
            "with the head `powerset`, which need whole labels",
        ),
        (
            spec(cutmix("same_label"), loss="focal", training={"eye_weight": 0.5}),
            PAIRS,
            "`same_label` mixes the labels of each eye, which `training.eye_weight` learns from",
        ),
        (
            spec(cutmix("same_label"), loss="focal", model=LATE, training=EYES),
            PAIRS,
            "`same_label` mixes the labels of each eye, which `training.supervision` learns from",
        ),
        (spec(model=LATE, training=EYES), SINGLES, "`eyes` needs samples that are pairs of eyes"),
        (spec(training=EYES), PAIRS, "`eyes` needs a fusion of each eye's decisions, got `concat`"),
        (
            spec(model={**LATE, "attention": "mirror_binocular"}, training=EYES),
            PAIRS,
            "`eyes` needs parts that see one eye, got the attention `mirror_binocular`",
        ),
        (
            spec(model={**LATE, "context": "osim_per_eye"}, training=EYES),
            PAIRS,
            "`eyes` needs parts that see one eye, got the context `osim_per_eye`",
        ),
        (
            spec(model=LATE, loss="contrastive", training=EYES),
            PAIRS,
            "`eyes` needs a loss that reads the logits, got `contrastive`",
        ),
        (
            spec(model=LATE, training={**EYES, "eye_weight": 0.5}),
            PAIRS,
            "`eyes` needs `training.eye_weight` to be 0",
        ),
        (
            spec(training={"feature_bank": 8}),
            PAIRS,
            "`training.feature_bank`: needs a frozen backbone, and training images that are real, "
            "got a trial in which no leading stage of the backbone is frozen. Set it to 0.",
        ),
        (
            spec({"generated": {}}, training={"feature_bank": 8}, model=FROZEN),
            GRADES,
            "got a trial in which `data.generated` makes training images",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(trial: TrialSpec, pairs: Pairs, message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        check_suits(trial, pairs)


@pytest.mark.parametrize(
    ("trial", "pairs"),
    [
        (spec(), PAIRS),
        (spec({"align": "flip_right"}), GRADES),
        (spec(training={"sampling": "class_balanced"}), GRADES),
        (spec(training={"sampling": "class_balanced"}), SINGLES),
        (spec(cutmix("standard")), PAIRS),
        (spec(cutmix("standard", probability=0), loss="focal"), PAIRS),
        (spec(cutmix("same_label"), loss="contrastive"), PAIRS),
        (spec(cutmix("same_label"), loss="focal"), PAIRS),
        (spec(cutmix("same_label"), training={"eye_weight": 0.5}), PAIRS),
        (spec(cutmix("same_label"), model=LATE, training=EYES), PAIRS),
        (spec(cutmix("same_label"), training={"feature_bank": 8}, model=FROZEN), PAIRS),
        (spec(cutmix("same_label"), loss="focal", training={"eye_weight": 0.5}), SINGLES),
    ],
)
def test_what_makes_sense_is_accepted(trial: TrialSpec, pairs: Pairs) -> None:
    check_suits(trial, pairs)

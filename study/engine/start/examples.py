"""Pictures of one training sample of each label at every stage of its preparation, for the report.

The photograph is cropped and resized, then its light is corrected, then CutMix pastes a rectangle of another
training sample into it. Stages that no trial of the study has are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Int, UInt8

from study.data.cohort import Cohort
from study.data.cutmix import CutMix
from study.data.images import jpeg
from study.data.pairs import EYES, Pairs
from study.data.preprocessing import NO_CORRECTION, Preprocessing
from study.evidence.records import Row
from study.spec.components import Component
from study.spec.trial_spec import TrialSpec

PICTURE_PX = 160  # side of a picture
MAX_LABELS = 8
SEED = 20250418  # of the choice of samples and of CutMix's rectangle
NUM_BOXES = 9  # rectangles that are drawn; the one with the median area is shown

Pictures = UInt8[np.ndarray, "v px px 3"]


def example_rows(cohort: Cohort, trials: Sequence[TrialSpec]) -> list[Row]:
    """Rows of EXAMPLES, with the same samples and rectangles at every call.

    Args:
        cohort: Data of the study; only its training split is looked at.
        trials: Trials that together have every setting of the study.
    """
    stages = _Stages.of(trials)
    has_all_views = np.array([None not in keys for keys in cohort.pairs.keys])
    train = cohort.rows("train")
    train = train[has_all_views[train]]
    rows: list[Row] = []
    for place, label in enumerate(cohort.pairs.labels[:MAX_LABELS]):
        drawn = _Drawn.of(cohort.pairs, train, place, stages.cutmix)
        if drawn is None:
            continue
        for stage in stages.rows(cohort.pairs, drawn):
            rows.append({"label": label, "synthetic": cohort.pairs.synthetic, **stage})
    return rows


@dataclass(frozen=True)
class _Drawn:
    """A training sample that stands for a label.

    Attributes:
        row: Position of the sample in the pairs.
        partner: Position of the sample that CutMix takes a rectangle from; None where there is none.
        rng: Source of the further random choices.
    """

    row: int
    partner: int | None
    rng: np.random.Generator

    @classmethod
    def of(cls, pairs: Pairs, rows: Int[np.ndarray, " n"], place: int, cutmix: CutMix) -> "_Drawn | None":
        """Draws among the carriers of a label: those that can be mixed, with the fewest labels, in all views.

        Args:
            pairs: Data of the study.
            rows: Positions of the samples that can be drawn.
            place: Place of the label.
            cutmix: Which samples are mixed.

        Returns:
            None where no sample carries the label.
        """
        carries = pairs.targets[rows, place] == 1
        if not carries.any():
            return None
        rng = np.random.default_rng([SEED, place])
        group = cutmix.groups(pairs.targets[rows])
        alone = np.bincount(group)[group] == 1
        num_labels = (pairs.targets[rows] == 1).sum(axis=1)
        in_one_view = (pairs.view_targets[rows, :, place] != 1).any(axis=1)
        keys = np.array([alone, num_labels, in_one_view]).T
        best = carries & (keys == min(keys[carries].tolist())).all(axis=1)
        number = int(rng.choice(np.flatnonzero(best)))
        others = rows[(group == group[number]) & (rows != rows[number])]
        partner = int(rng.choice(others)) if len(others) else None
        return cls(int(rows[number]), partner, rng)


@dataclass(frozen=True)
class _Stages:
    """How pictures are made.

    Attributes:
        prepare: Crop and size of the pictures, without a correction of the light.
        corrections: Every correction that the study has.
        mixed: The correction of the trial whose CutMix is shown.
        cutmix: Its CutMix, of the kind `none` where no trial has it.
    """

    prepare: Preprocessing
    corrections: list[Component]
    mixed: Component
    cutmix: CutMix

    @classmethod
    def of(cls, trials: Sequence[TrialSpec]) -> "_Stages":
        """The stages of a study; CutMix is shown on corrected light where a trial has both."""

        def num_stages(trial: TrialSpec) -> tuple[bool, bool]:
            data = trial.data
            return data.augmentation.cutmix.kind != "none", data.illumination != NO_CORRECTION

        data = max(trials, key=num_stages).data
        found = {str(trial.data.illumination): trial.data.illumination for trial in trials}
        return cls(
            prepare=replace(Preprocessing.of(data), image_px=PICTURE_PX, illumination=NO_CORRECTION),
            corrections=[correction for correction in found.values() if correction != NO_CORRECTION],
            mixed=data.illumination,
            cutmix=CutMix(data.augmentation.cutmix.kind, 1.0, data.augmentation.cutmix.box),
        )

    def rows(self, pairs: Pairs, drawn: _Drawn) -> list[Row]:
        """The stages of a sample: columns of EXAMPLES but for what is the same in all of them."""
        raw = self._pictures(pairs, drawn.row, NO_CORRECTION)
        found = [_row(pairs, drawn.row, "raw", "", raw)]
        for correction in self.corrections:
            light = self._pictures(pairs, drawn.row, correction)
            found.append(_row(pairs, drawn.row, "illumination", str(correction), light))
        if self.cutmix.kind != "none" and drawn.partner is not None:
            own, other = (self._pictures(pairs, row, self.mixed) for row in (drawn.row, drawn.partner))
            mixed = np.where(self._box(own, drawn.rng)[..., None], other, own)
            partner = pairs.table["sample"].iloc[drawn.partner]
            found.append({**_row(pairs, drawn.row, "cutmix", self.cutmix.kind, mixed), "partner": partner})
        return found

    def _pictures(self, pairs: Pairs, row: int, correction: Component) -> Pictures:
        prepare = replace(self.prepare, illumination=correction)
        keys = pairs.table[list(EYES[: pairs.num_views])].iloc[row]
        return np.stack([prepare(pairs.load(key)) for key in keys])

    def _box(self, like: Pictures, rng: np.random.Generator) -> np.ndarray:
        """Which pixels of each view are replaced: a rectangle of the usual size."""
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        blank = torch.zeros(NUM_BOXES, len(like), 3, *like.shape[1:3])
        boxes = self.cutmix.boxes(blank, generator).numpy()
        return np.asarray(boxes[np.argsort(boxes.mean(axis=(1, 2, 3)))[NUM_BOXES // 2]])


def _row(pairs: Pairs, row: int, stage: str, setting: str, pictures: Pictures) -> Row:
    return {
        "sample": pairs.table["sample"].iloc[row],
        "stage": stage,
        "setting": setting,
        "partner": None,
        "images": [jpeg(picture, PICTURE_PX) for picture in pictures],
    }

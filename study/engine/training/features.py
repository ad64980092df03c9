"""The features of a trial with a frozen backbone: how they are made, and the batches that training gets.

Where the frozen parts of a network see only images that are known beforehand, they run once for each image.
The trial then works from what they gave, with the samples and the random choices that it would have had.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from models.siamese import SiameseNet
from study.data.augmentation import Augmentation
from study.data.batches import Batches
from study.data.cohort import Cohort
from study.data.cutmix import CutMix
from study.data.feature_batches import Choose, FeatureBatches
from study.data.features import FeatureSet, Shape
from study.data.turns import DrawnPass, TurnedViews
from study.engine.training.feature_plan import FeaturePlan
from study.engine.training.workers import WorkerGroup
from study.spec.trial_spec import TrialSpec

ENCODED_AT_A_TIME = 32  # samples, so that one pass over any number of images takes little memory


@dataclass(frozen=True, kw_only=True, eq=False)
class TrialFeatures:
    """The features that a trial works from.

    Attributes:
        spec: The trial.
        plan: Which features there are.
        turned: Every sample, turned in each way of the plan.
        bank: Augmented versions of the training samples, where the plan has any.
        device: Where batches go.
    """

    spec: TrialSpec
    plan: FeaturePlan
    turned: FeatureSet
    bank: FeatureSet | None
    device: torch.device

    def training_batches(self, rows: Int[np.ndarray, " n"], group: WorkerGroup) -> FeatureBatches:
        """Batches of the training split, drawn as the specification says.

        Args:
            rows: Positions of its samples.
            group: Workers that train together.
        """
        training, flips = self.spec.training, self.spec.data.augmentation
        kept, positions = self.turned, rows
        choose: Choose = self._views(flip=flips.flip, flip_vertical=flips.flip_vertical)
        if self.bank is not None:
            kept, positions = self.bank, np.arange(len(rows))
            choose = DrawnPass(self.plan.bank, self.plan.num_views)
        return FeatureBatches(
            kept,
            positions,
            choose,
            batch_size=max(2, training.batch_size // group.size),
            device=self.device,
            seed=training.seed,
            order=training.sampling,
            rank=group.rank,
            world_size=group.size,
        )

    def evaluation_batches(
        self, rows: Int[np.ndarray, " n"], batch_size: int, *, exchange: bool
    ) -> FeatureBatches:
        """Batches of samples as they are, in the given order.

        Args:
            rows: Positions of the samples.
            batch_size: Number of samples in a batch.
            exchange: Whether to take the mirror image of each patient, with the eyes exchanged.
        """
        views = self._views(exchange=exchange)
        return FeatureBatches(self.turned, rows, views, batch_size=batch_size, device=self.device)

    def _views(self, **settings: bool) -> TurnedViews:
        aligned = self.spec.data.align != "none"
        return TurnedViews(turns=self.plan.turns, num_views=self.plan.num_views, aligned=aligned, **settings)


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureMaker:
    """Makes the features of a trial.

    Attributes:
        spec: The trial.
        net: Its network on the device.
        cohort: Its data.
        device: Device of the network.
        bfloat16: Whether the network runs in bfloat16.
        progress: Called with the samples done and their total while features are made.
    """

    spec: TrialSpec
    net: SiameseNet
    cohort: Cohort
    device: torch.device
    bfloat16: bool
    progress: Callable[[int, int], None] | None = None

    def open(self, most_gb: float) -> TrialFeatures | None:
        """The features, made first where they do not exist; None where the trial works from images.

        Args:
            most_gb: Gigabytes of disk that they may take; a trial that needs more works from images.

        Raises:
            ResourceError: The trial wants a bank, for which there is no place.
            StorageError: The features cannot be written.
        """
        num_samples, rows = len(self.cohort.pairs), self.cohort.rows("train")
        plan = FeaturePlan.of(self.spec, self.net, self.cohort.pairs.num_views)
        if plan is None or not plan.has_place(num_samples, len(rows), most_gb):
            return None
        turned = self._turned(plan, plan.shape_of_turned(num_samples))
        bank = self._bank(rows, plan.shape_of_bank(len(rows))) if plan.bank else None
        return TrialFeatures(spec=self.spec, plan=plan, turned=turned, bank=bank, device=self.device)

    def _turned(self, plan: FeaturePlan, shape: Shape) -> FeatureSet:
        rows = np.arange(shape.samples)
        passes = (self._batches(rows, augmentation=turn) for turn in plan.turns)
        return self._build(plan.turns, passes, shape)

    def _bank(self, rows: Int[np.ndarray, " n"], shape: Shape) -> FeatureSet:
        """The augmented training samples, which do not depend on the trial's seed: all seeds share them."""
        data = self.spec.data
        settings: dict[str, Any] = {
            "augmentation": Augmentation(**data.augmentation.model_dump(exclude={"cutmix"})),
            "cutmix": CutMix(**data.augmentation.cutmix.model_dump()),
            "align": data.align,
        }
        passes = (self._batches(rows, **settings, seed=number) for number in range(shape.passes))
        return self._build([self.cohort.split_hash, *settings.values()], passes, shape)

    def _batches(self, rows: Int[np.ndarray, " n"], **settings: Any) -> Batches:
        return Batches(
            self.cohort.cache,
            rows,
            batch_size=ENCODED_AT_A_TIME,
            device=self.device,
            normalise=self.spec.data.normalise,
            **settings,
        )

    def _build(self, changes: Sequence[object], passes: Iterable[Batches], shape: Shape) -> FeatureSet:
        images, backbone, net = self.cohort.cache, self.spec.model.backbone, self.net
        key = [
            images.folder.name,  # named by the photographs and their preprocessing
            images.pairs.fingerprint,
            self.spec.data.normalise,
            backbone.name,
            backbone.drop_stages,
            len(net.backbone.frozen_parts),
            net.image_flips,
            self.spec.model.pooling if net.keeps_vectors else "maps",
            "bfloat16" if self.bfloat16 else "float32",
            weights_hash(net.backbone.frozen_parts),
            *changes,
        ]
        return FeatureSet.build(images.folder.parent, key, passes, self._encode, shape, self.progress)

    def _encode(self, images: Float[Tensor, "b v 3 h w"]) -> Float[Tensor, "b v f *s"]:
        return encode(self.net, images, bfloat16=self.bfloat16)


def encode(
    net: SiameseNet, images: Float[Tensor, "b v 3 h w"], *, bfloat16: bool
) -> Float[Tensor, "b v f *s"]:
    """The features of images, without a gradient, in the precision in which the network runs."""
    with torch.inference_mode(), torch.autocast(images.device.type, torch.bfloat16, enabled=bfloat16):
        return net.features(images)


def weights_hash(net: nn.Module) -> str:
    """The sha256 over the names and values of all weights and statistics of a network."""
    found = hashlib.sha256()
    for name, tensor in net.state_dict().items():
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()

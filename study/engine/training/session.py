"""What the training of one trial needs: its data, network and loss on a device."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from models.siamese import FromFeatures, SiameseNet
from study.data.augmentation import Augmentation
from study.data.batches import Batches
from study.data.cache import ImageCache
from study.data.cohort import Cohort, open_cohort, with_generated_images
from study.data.cutmix import CutMix
from study.engine.training.checks import check_suits
from study.engine.training.features import FeatureMaker, TrialFeatures
from study.engine.training.fit import TrainingBatches, use_bfloat16
from study.engine.training.judge import judge_of
from study.engine.training.network import (
    Criterion,
    build_criterion,
    build_network,
    label_sets,
    rebuild_network,
)
from study.engine.training.principal import require_frozen_whole
from study.engine.training.workers import WorkerGroup
from study.evidence.embed import EmbeddedSamples, embed, with_eyes_exchanged
from study.evidence.objective import Judge
from study.evidence.predictions import NETWORK, Embeddings, Predictions
from study.spec.resources import FEATURES_GB
from study.spec.trial_spec import TrialSpec

EVALUATION_BATCH = 32


@dataclass(frozen=True, kw_only=True)
class TrainingSession:
    """What the training of one trial needs.

    Attributes:
        spec: The trial.
        cohort: Data of the trial.
        net: The network on the device.
        loss: The loss on the device.
        device: Device of network and loss.
        features: What the frozen parts of the network give for all images; None where training and
            evaluation work from images.
    """

    spec: TrialSpec
    cohort: Cohort
    net: SiameseNet
    loss: Criterion
    device: torch.device
    features: TrialFeatures | None

    @classmethod
    def from_spec(
        cls,
        spec: TrialSpec,
        cache: Path,
        device: torch.device,
        features_gb: float = FEATURES_GB,
        encoding: Callable[[int, int], None] | None = None,
        start: Mapping[str, Tensor] | None = None,
        cohort: Cohort | None = None,
    ) -> Self:
        """Opens the data, and builds network and loss with the seed of the trial.

        Args:
            spec: The trial.
            cache: Folder of all image caches.
            device: Device of network and loss.
            features_gb: Gigabytes of disk that features of a frozen network may take.
            encoding: Called with the samples done and their total while features are made.
            start: Weights of another trial's network, from which this one starts; None for those of the
                pretrained backbone and new ones behind it.
            cohort: The data with another split than the specification's.

        Raises:
            StudyError: The trial does not suit the data, or its components do not suit each other.
        """
        cohort = with_generated_images(cohort or open_cohort(spec.data, cache), spec.data.generated, device)
        torch.manual_seed(spec.training.seed)
        pairs = cohort.pairs
        check_suits(spec, pairs)  # a study was checked choice by choice, not in every combination
        train_targets = torch.from_numpy(cohort.images_of("train").targets).float()
        if start is None:
            net = build_network(spec, len(pairs.labels), pairs.num_views, label_sets(train_targets))
            require_frozen_whole(net)
        else:
            net = rebuild_network(spec, len(pairs.labels), pairs.num_views, start)
        loss = build_criterion(spec, net, train_targets)
        net = net.to(device).to(memory_format=torch.channels_last)
        bfloat16 = use_bfloat16(spec.training.precision, device)
        maker = FeatureMaker(
            spec=spec, net=net, cohort=cohort, device=device, bfloat16=bfloat16, progress=encoding
        )
        features = maker.open(features_gb)
        return cls(spec=spec, cohort=cohort, net=net, loss=loss.to(device), device=device, features=features)

    @property
    def bfloat16(self) -> bool:
        """Whether the network runs in bfloat16."""
        return use_bfloat16(self.spec.training.precision, self.device)

    @property
    def judge(self) -> Judge:
        """Finds the value that epochs and trials are chosen by."""
        return judge_of(self.spec, self.cohort.pairs.kind, trains_head=self.loss.trains_head)

    @property
    def trained(self) -> nn.Module:
        """The network as it takes what `training_batches` gives."""
        return self.net if self.features is None else FromFeatures(self.net)

    def training_batches(self, group: WorkerGroup) -> TrainingBatches:
        """Batches of the training split, drawn as the specification says: of features where there are any."""
        if self.features is None:
            return self.image_batches(group)
        return self.features.training_batches(self.cohort.rows("train"), group)

    def image_batches(self, group: WorkerGroup) -> Batches:
        """Augmented images of the training split, drawn as the specification says."""
        samples = self.cohort.images_of("train")
        data, training = self.spec.data, self.spec.training
        return Batches(
            samples.images,
            samples.rows,
            batch_size=max(2, training.batch_size // group.size),
            device=self.device,
            normalise=data.normalise,
            augmentation=Augmentation(**data.augmentation.model_dump(exclude={"cutmix"})),
            cutmix=CutMix(**data.augmentation.cutmix.model_dump()),
            align=data.align,
            seed=training.seed,
            order=training.sampling,
            rank=group.rank,
            world_size=group.size,
            resident=True,
        )

    def _plain_images(self, images: ImageCache, rows: Int[np.ndarray, " n"]) -> Batches:
        return Batches(
            images,
            rows,
            batch_size=EVALUATION_BATCH,
            device=self.device,
            normalise=self.spec.data.normalise,
            align=self.spec.data.align,
            resident=True,
        )

    def embed(self, split: str, net: SiameseNet | None = None, *, exchange: bool = False) -> EmbeddedSamples:
        """What the network in evaluation mode gives for every sample of a split.

        Args:
            split: Name of the split.
            net: Network to use; the session's own when left out.
            exchange: Whether to take the mirror image of each patient, with the eyes exchanged.
        """
        net = net or self.net
        if self.features is not None:
            rows = self.cohort.rows(split)
            kept = self.features.evaluation_batches(rows, EVALUATION_BATCH, exchange=exchange)
            return embed(net, kept, self.device, bfloat16=self.bfloat16, from_features=True)
        samples = self.cohort.images_of(split)
        batches = self._plain_images(samples.images, samples.rows)
        aligned = self.spec.data.align != "none"
        seen = with_eyes_exchanged(batches, aligned=aligned) if exchange else batches
        return embed(net, seen, self.device, bfloat16=self.bfloat16)

    def predictions(self, trial: str, split: str, embedded: EmbeddedSamples) -> Predictions:
        """The predictions of the network's own head for a split, with the names of the samples.

        Args:
            trial: Key of the trial.
            split: Name of the split.
            embedded: What `embed` gave for the split.
        """
        sample, patient = self.cohort.images_of(split).names()
        return Predictions(
            trial=trial,
            head=NETWORK,
            setting="",
            split=split,
            sample=sample,
            patient=patient,
            target=embedded.target,
            score=embedded.score,
            synthetic=self.cohort.pairs.synthetic,
        )

    def embeddings(self, trial: str, split: str, embedded: EmbeddedSamples) -> Embeddings:
        """The embeddings of a split with the names of the samples; arguments as in `predictions`."""
        samples = self.cohort.images_of(split)
        sample, patient = samples.names()
        return Embeddings(
            trial=trial,
            split=split,
            sample=sample,
            patient=patient,
            target=embedded.target,
            embedding=embedded.embedding,
            synthetic=self.cohort.pairs.synthetic,
            generated=samples.generated,
        )

    def evaluate(self, net: nn.Module) -> tuple[float, float]:
        """The objective and the loss of a network on validation."""
        assert isinstance(net, SiameseNet)
        embedded = self.embed("val", net)
        pairs = self.cohort.pairs
        rows = self.cohort.rows("val")
        targets = torch.from_numpy(pairs.targets[rows]).float().to(self.device)
        view_targets = torch.from_numpy(pairs.view_targets[rows]).float().to(self.device)
        with torch.inference_mode():
            val_loss = float(self.loss(embedded.output.to(self.device), targets, view_targets))

        def train() -> Embeddings:
            return self.embeddings("", "train", self.embed("train", net))

        value = self.judge.value(embedded.score, self.embeddings("", "val", embedded), train)
        return value, val_loss

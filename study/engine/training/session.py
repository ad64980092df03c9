"""What a training works with: data, network and loss of one trial, on its device."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from models.siamese import SiameseNet
from study.data.augmentation import Augmentation
from study.data.batches import Batches
from study.data.cohort import Cohort, open_cohort, with_generated_images
from study.data.cutmix import CutMix
from study.engine.training.checks import check_suits
from study.engine.training.fit import use_bfloat16
from study.engine.training.judge import judge_of
from study.engine.training.network import Criterion, build_criterion, build_network, label_sets
from study.engine.training.workers import WorkerGroup
from study.evidence.embed import Embedded, embed, exchanged
from study.evidence.judging import Judge
from study.evidence.predictions import Embeddings
from study.spec.trial_spec import TrialSpec

EVALUATION_BATCH = 32


@dataclass(frozen=True)
class TrainingSession:
    """What a training works with.

    Attributes:
        spec: the trial.
        cohort: the data.
        net: the network on its device.
        loss: the loss on the same device.
        device: where they are.
    """

    spec: TrialSpec
    cohort: Cohort
    net: SiameseNet
    loss: Criterion
    device: torch.device

    @classmethod
    def from_spec(cls, spec: TrialSpec, cache: Path, device: torch.device) -> "TrainingSession":
        """Builds network and loss with the trial's seed.

        Raises:
            StudyError: the trial does not suit the data, or its parts each other.
        """
        cohort = with_generated_images(open_cohort(spec.data, cache), spec.data.generated, device)
        torch.manual_seed(spec.training.seed)
        pairs = cohort.pairs
        check_suits(spec, pairs)  # a study was checked choice by choice, not in every combination
        known = torch.from_numpy(cohort.images_of("train").targets).float()
        net = build_network(spec, len(pairs.labels), pairs.num_views, label_sets(known))
        loss = build_criterion(spec, net, known)
        return cls(
            spec, cohort, net.to(device).to(memory_format=torch.channels_last), loss.to(device), device
        )

    @property
    def bfloat16(self) -> bool:
        """Whether the network runs in bfloat16."""
        return use_bfloat16(self.spec.training.precision, self.device)

    @property
    def judge(self) -> Judge:
        """Finds the value that picks epochs and trials."""
        return judge_of(self.spec, self.cohort.pairs.kind, self.loss.trains_head)

    def training_batches(self, group: WorkerGroup) -> Batches:
        """Augmented batches of the training split, in the order that the trial wants."""
        split = self.cohort.images_of("train")
        return Batches(
            split.images,
            split.rows,
            batch_size=max(2, self.spec.training.batch_size // group.size),
            device=self.device,
            normalise=self.spec.data.normalise,
            augmentation=Augmentation(**self.spec.data.augmentation.model_dump(exclude={"cutmix"})),
            cutmix=CutMix(**self.spec.data.augmentation.cutmix.model_dump()),
            align=self.spec.data.align,
            seed=self.spec.training.seed,
            order=self.spec.training.sampling,
            rank=group.rank,
            world_size=group.size,
            resident=True,
        )

    def embed(self, split: str, net: nn.Module | None = None, exchange: bool = False) -> Embedded:
        """Every sample of a split through the network in evaluation mode, or its mirror image with the eyes exchanged."""
        samples = self.cohort.images_of(split)
        batches = Batches(
            samples.images,
            samples.rows,
            batch_size=EVALUATION_BATCH,
            device=self.device,
            normalise=self.spec.data.normalise,
            align=self.spec.data.align,
            resident=True,
        )
        seen = exchanged(batches, self.spec.data.align != "none") if exchange else batches
        return embed(net or self.net, seen, self.device, self.bfloat16)

    def names(self, split: str) -> tuple[list[str], list[str]]:
        """Samples and patients of a split, in the order of `embed`."""
        return self.cohort.images_of(split).names()

    def embeddings(self, trial: str, split: str, found: Embedded) -> Embeddings:
        """A split's embeddings with the names of its samples."""
        samples, synthetic = self.cohort.images_of(split), self.cohort.pairs.synthetic
        return Embeddings(
            trial, split, *samples.names(), found.targets, found.fused, synthetic, samples.generated
        )

    def evaluate(self, net: nn.Module) -> tuple[float, float]:
        """Objective and loss on validation."""
        found = self.embed("val", net)
        with torch.inference_mode():
            rows = self.cohort.rows("val")
            labels = (self.cohort.pairs.targets[rows], self.cohort.pairs.view_targets[rows])
            val_loss = float(
                self.loss(
                    found.output.to(self.device),
                    *(torch.from_numpy(t).float().to(self.device) for t in labels),
                )
            )
        val = self.embeddings("", "val", found)
        return self.judge.value(
            found.score, val, lambda: self.embeddings("", "train", self.embed("train", net))
        ), val_loss

"""Heat maps of finished trials on the same test samples: Grad-CAM, attention maps and their sanity check."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from models.siamese import SiameseNet
from study.data.batches import Batches
from study.data.cohort import open_images
from study.data.images import jpeg
from study.data.pairs import Pairs
from study.data.preprocessing import NORMALISE
from study.data.source import open_dataset
from study.engine.applying.apply import stored_network
from study.engine.applying.attention_maps import attention_maps
from study.engine.applying.gradcam import Evidence, evidence_of, grad_cam, nearest_mean
from study.engine.applying.heatmap_trials import ShownTrial
from study.engine.applying.randomisation import cascade, rank_correlation, structural_likeness
from study.engine.training.network import build_network, without_weights
from study.evidence.cases import Case
from study.evidence.heatmap_tables import ATTENTION, GRAD_CAM, TRAINED
from study.evidence.predictions import NETWORK, embeddings_of, predictions_of
from study.evidence.records import Row
from study.evidence.store import Store
from study.spec.data_section import DataSpec
from study.spec.errors import DataError, SpecError

PICTURE_PX = 160  # greatest side of a stored photograph
SAME_SCORE = 0.1  # scores in bfloat16, as a GPU gives them, and in float32, as here, differ by less
FRESH_SEED = 20181003  # of the weights that have learnt nothing

Rows = dict[str, list[Row]]


def make_heatmaps(
    store: Store, trials: Sequence[ShownTrial], cases: Sequence[Case], progress: Callable[[str], None]
) -> Rows:
    """Rows of the tables of heat maps.

    Args:
        store: The run.
        trials: Trials to show side by side.
        cases: Test samples.
        progress: Called with what is being done.

    Raises:
        SpecError: A trial has other test samples.
        DataError: The images are not there, or are not those of the run.
        StorageError: Weights are damaged.
    """
    rows: Rows = {"samples": [], "maps": [], "checks": []}
    for trial in trials:
        progress(f"{trial.key}: maps of {len(cases)} samples")
        shown = _ShownNetwork.of(store, trial, cases)
        trained = shown.cams()
        rows["samples"] += shown.samples()
        for place, label in enumerate(shown.pairs.labels):
            rows["maps"] += shown.maps(GRAD_CAM, label, trained[:, place])
        for name, maps in attention_maps(shown.net, shown.images).items():
            rows["maps"] += shown.maps(ATTENTION, name, maps)
        for place, step in enumerate(shown.randomised()):
            progress(f"{trial.key}: {step} randomised")
            cams = shown.cams()
            rows["maps"] += shown.maps_of_cases(step, cams)
            rows["checks"].append(shown.check(place, step, trained, cams))
    return rows


@dataclass(frozen=True, eq=False, kw_only=True)
class _ShownNetwork:
    """A trial's network with the cases that it is shown.

    Attributes:
        trial: The trial.
        cases: The test samples.
        pairs: Their labels and views.
        images: Their normalised images.
        net: The network in evaluation mode.
        evidence: What speaks for each label.
    """

    trial: ShownTrial
    cases: Sequence[Case]
    pairs: Pairs
    images: Float[Tensor, "n v 3 px px"]
    net: SiameseNet
    evidence: Evidence

    @classmethod
    def of(cls, store: Store, trial: ShownTrial, cases: Sequence[Case]) -> Self:
        """Loads the network and the images of the cases; the errors are those of `make_heatmaps`."""
        samples, spec = [case.sample for case in cases], trial.chosen.spec
        missing = [sample for sample in samples if sample not in trial.predictions.sample]
        if missing:
            raise SpecError(
                f"`--trial`: must have the same test samples, but {trial.key} has none named {missing[0]}. "
                "Show it alone."
            )
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        pairs, images = _load(spec.data, samples, device)
        net = stored_network(store, trial.key, spec, len(pairs.labels), pairs.num_views)
        net = net.to(device).eval().requires_grad_(requires_grad=False)
        _require_stored_scores(store, trial.key, net, pairs, images)
        trains_head = trial.chosen.trains_head
        evidence = evidence_of(net) if trains_head else _nearest_mean(store, trial.key, device)
        return cls(trial=trial, cases=cases, pairs=pairs, images=images, net=net, evidence=evidence)

    def cams(self) -> Float[Tensor, "n l v h w"]:
        """Grad-CAM maps of every case, label and eye."""
        return grad_cam(self.net, self.images, self.evidence)

    def randomised(self) -> Iterator[str]:
        """Randomises the network part by part, and names each part."""
        chosen = self.trial.chosen
        with torch.random.fork_rng():
            torch.manual_seed(FRESH_SEED)
            sets = self.net.head.label_sets
            untrained = without_weights(chosen.spec)
            fresh = build_network(untrained, len(self.pairs.labels), self.pairs.num_views, sets)
        yield from cascade(self.net, fresh.to(self.images.device), with_head=chosen.trains_head)

    def samples(self) -> list[Row]:
        """Rows of HEATMAP_SAMPLES."""
        predictions, pictures = self.trial.predictions, self._pictures()
        rows: list[Row] = []
        for case, eyes in zip(self.cases, pictures, strict=True):
            at = predictions.sample.index(case.sample)
            row: Row = {
                "trial": self.trial.key,
                "sample": case.sample,
                "patient": predictions.patient[at],
                "chosen": case.chosen,
                "label": case.label,
                "target": predictions.target[at].tolist(),
                "score": predictions.score[at].tolist(),
                "decided": self.trial.decided[at].tolist(),
                "images": [jpeg(eye, PICTURE_PX) for eye in eyes],
                "synthetic": self.pairs.synthetic,
            }
            rows.append(row)
        return rows

    def _pictures(self) -> UInt8[np.ndarray, "n v px px 3"]:
        """The images as the network sees them, no longer normalised."""
        normalised = NORMALISE[self.trial.chosen.spec.data.normalise]
        mean, std = (torch.tensor(numbers).view(3, 1, 1) for numbers in normalised)
        pixels = (self.images.cpu() * std + mean).clamp(0, 1).mul(255).round().byte()
        return pixels.movedim(2, -1).numpy()

    def maps(self, method: str, name: str, maps: Float[Tensor, "n v h w"], step: str = TRAINED) -> list[Row]:
        """Rows of HEATMAP_MAPS of all cases; an eye without a map has no row."""
        rows = []
        for case, of_case in zip(self.cases, maps, strict=True):
            rows += self._rows(case.sample, method, name, step, of_case)
        return rows

    def maps_of_cases(self, step: str, cams: Float[Tensor, "n l v h w"]) -> list[Row]:
        """Rows of HEATMAP_MAPS of each case's own label."""
        rows = []
        for case, of_case in zip(self.cases, cams, strict=True):
            of_label = of_case[self.pairs.labels.index(case.label)]
            rows += self._rows(case.sample, GRAD_CAM, case.label, step, of_label)
        return rows

    def _rows(
        self, sample: str, method: str, name: str, step: str, maps: Float[Tensor, "v h w"]
    ) -> list[Row]:
        height, width = maps.shape[1:]
        rows: list[Row] = []
        for view, values in enumerate(maps.cpu()):
            if values.isnan().any():
                continue
            row: Row = {
                "trial": self.trial.key,
                "sample": sample,
                "method": method,
                "name": name,
                "step": step,
                "view": view,
                "values": values.flatten().tolist(),
                "height": height,
                "width": width,
                "synthetic": self.pairs.synthetic,
            }
            rows.append(row)
        return rows

    def check(
        self, place: int, step: str, trained: Float[Tensor, "n l v h w"], cams: Float[Tensor, "n l v h w"]
    ) -> Row:
        """Row of HEATMAP_CHECKS: how like the trained maps these still are.

        It is the mean over all cases and labels whose trained map says something.
        """
        ranks = rank_correlation(trained.flatten(0, 1), cams.flatten(0, 1))
        ssim = structural_likeness(trained.flatten(0, 1), cams.flatten(0, 1))
        known = ~(np.isnan(ranks) | np.isnan(ssim))
        return {
            "trial": self.trial.key,
            "place": place,
            "step": step,
            "rank_correlation": float(ranks[known].mean()) if known.any() else np.nan,
            "ssim": float(ssim[known].mean()) if known.any() else np.nan,
            "num_maps": int(known.sum()),
            "synthetic": self.pairs.synthetic,
        }


def _load(
    data: DataSpec, samples: list[str], device: torch.device
) -> tuple[Pairs, Float[Tensor, "n v 3 px px"]]:
    """The samples and their images as the network sees them; the cache of these few is deleted at once.

    Raises:
        DataError: The data set does not have them.
    """
    pairs = open_dataset(data)
    places = {name: place for place, name in enumerate(pairs.table["sample"])}
    missing = [name for name in samples if name not in places]
    if missing:
        raise DataError(
            f"`data.root`: must hold the samples of the run, got none named {missing[0]} in "
            f"`{pairs.root or 'the phantom'}`. Restore the data with which the run was made."
        )
    subset = pairs.subset(np.array([places[name] for name in samples]))
    with tempfile.TemporaryDirectory() as folder:
        images = open_images(data, subset, Path(folder))
        rows = np.arange(len(samples))
        batches = Batches(
            images, rows, batch_size=len(rows), device=device, normalise=data.normalise, align=data.align
        )
        return images.pairs, next(iter(batches)).images


def _require_stored_scores(
    store: Store, key: str, net: SiameseNet, pairs: Pairs, images: Float[Tensor, "n v 3 px px"]
) -> None:
    """Refuses other images or another network under the same names, whose maps would explain something else.

    Raises:
        DataError: The network gives other scores than the stored ones.
    """
    filters = {"split": "test", "head": NETWORK}
    stored = predictions_of(store.read_table("predictions", [key], filters=filters))[0]
    with torch.inference_mode():
        score = net.head.scores(net(images).logits).cpu().numpy()
    expected = stored.score[[stored.sample.index(name) for name in pairs.table["sample"]]]
    worst = float(np.abs(score - expected).max())
    if worst > SAME_SCORE:
        raise DataError(
            f"`{key}`: must give the scores that it gave, got one that differs by {worst:.2f}. "
            f"The images in `{pairs.root or 'the phantom'}`, or the code, are no longer those of the run."
        )


def _nearest_mean(store: Store, key: str, device: torch.device) -> Evidence:
    """The evidence by the stored embeddings of the training samples."""
    train = embeddings_of(store.read_table("embeddings", [key], filters={"split": "train"}))[0].known()
    embedding = torch.tensor(train.embedding, device=device)
    return nearest_mean(embedding, torch.tensor(train.target, device=device).float())

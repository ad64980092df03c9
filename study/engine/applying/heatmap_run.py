"""Heat maps of finished trials, side by side on the same test samples: Grad-CAM, attention maps and their sanity check."""

import io
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from pyarrow import fs
from torch import Tensor

from models.siamese import SiameseNet
from study.data.batches import Batches
from study.data.cohort import open_images
from study.data.pairs import Pairs
from study.data.preprocessing import NORMALISE
from study.data.source import open_dataset
from study.engine.applying.apply import chosen_trial, stored_network
from study.engine.applying.attention_maps import attention_maps
from study.engine.applying.gradcam import Evidence, evidence_of, grad_cam, nearest_mean
from study.engine.applying.randomisation import cascade, rank_correlation, structural_likeness
from study.engine.training.network import build_network, without_weights
from study.evidence.cases import Case
from study.evidence.heatmap_tables import ATTENTION, GRAD_CAM, TRAINED
from study.evidence.predictions import Predictions, embeddings_of, predictions_of
from study.evidence.score import decisions_of
from study.evidence.store import WEIGHTS, Store
from study.spec import components
from study.spec.data_section import DataSpec
from study.spec.errors import DataError, SpecError, StorageError
from study.spec.trial_spec import TrialSpec

MOST_TRIALS = 5  # side by side on a page
PICTURE_PX = 160  # greatest side of a stored photograph
SAME_SCORE = (
    0.1  # a network that runs in bfloat16 on a GPU and in float32 here gives scores that differ by less
)
FRESH_SEED = 20181003  # of the weights that know nothing

Rows = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Shown:
    """A trial whose network can be had.

    Attributes:
        key: of the trial.
        spec: its specification.
        predictions: of the head whose decisions stand for the trial, on the test samples with known labels.
        decided: which labels each of these samples is said to carry.
        trains_head: whether the network's own head has learnt anything; else its embedding is explained.
    """

    key: str
    spec: TrialSpec
    predictions: Predictions
    decided: Bool[np.ndarray, "n l"]
    trains_head: bool


def trials_to_show(store: Store, keys: Sequence[str]) -> list[Shown]:
    """The trials of these keys; of none, the search's best and the best one of each ablation variant that kept weights.

    Raises:
        SpecError: a trial is unknown or did not complete, or too many are asked for.
        StorageError: a trial kept no weights, or the search's best one did not.
    """
    if len(set(keys)) > MOST_TRIALS:
        raise SpecError(
            f"`--trial`: must be at most {MOST_TRIALS} trials side by side, got {len(set(keys))}. Show fewer."
        )
    wanted = list(dict.fromkeys(keys)) or _by_itself(store)
    for key in wanted:
        chosen_trial(store, key)
    if without := [key for key in wanted if not _kept_weights(store, key)]:
        there = [key for key in store.read("trial", columns=["trial"])["trial"] if _kept_weights(store, key)]
        raise StorageError(
            f"`{without[0]}`: must have its weights, but only the best trials keep them. Those that have: {', '.join(there) or 'none'}. "
            "`keep_weights` in the study file, raised before it runs, keeps those of more trials of the search, "
            "`keep_weights_of` those of an ablation's variants."
        )
    return [_shown(store, key) for key in wanted]


def _by_itself(store: Store) -> list[str]:
    best = str(chosen_trial(store, None)["trial"])
    trials = store.read("trial", columns=["trial", "role", "state", "table", "variant", "value"])
    variants = trials[
        (trials["role"] == "ablation") & (trials["state"] == "complete") & (trials["trial"] != best)
    ]
    variants = variants.sort_values("value", ascending=False, kind="stable")
    kept = variants[np.array([_kept_weights(store, key) for key in variants["trial"]], dtype=bool)]
    same = [
        key
        for key in kept.drop_duplicates(["table", "variant"])["trial"]
        if _samples(store, key) == _samples(store, best)
    ]
    return [best, *same[: MOST_TRIALS - 1]]


def _kept_weights(store: Store, key: str) -> bool:
    info = store.filesystem.get_file_info(f"{store.root}/trials/{key}/{WEIGHTS}")
    return bool(info.type == fs.FileType.File)


def _samples(store: Store, key: str) -> set[str]:
    return set(store.read("predictions", [key], ["sample"], {"split": "test", "head": "network"})["sample"])


def _shown(store: Store, key: str) -> Shown:
    record = chosen_trial(store, key)
    spec = TrialSpec.read(json.loads(str(record["spec"])))
    trains_head = bool(components.load("loss", spec.loss.name).trains_head)
    head = str(record["head"] or ("network" if trains_head else "knn"))
    found = [
        p.known()
        for p in predictions_of(
            store.read_table("predictions", [key], filters={"split": "test", "head": head})
        )
    ]
    if not found or not found[0].sample:
        raise StorageError(
            f"`{key}`: must have predictions of test samples with known labels, got none. Take another trial."
        )
    kind = store.read_study()["kind"]
    return Shown(key, spec, found[0], next(iter(decisions_of(found[0], kind).values())), trains_head)


def make_heatmaps(
    store: Store, trials: Sequence[Shown], cases: Sequence[Case], progress: Callable[[str], None]
) -> Rows:
    """Rows of the heat map tables.

    Args:
        store: the run.
        trials: to show side by side.
        cases: test samples.
        progress: called with what is being done.

    Raises:
        SpecError: a trial has other test samples.
        DataError: the images are not there, or not those of the run.
        StorageError: weights are damaged.
    """
    rows: Rows = {"samples": [], "maps": [], "checks": []}
    for trial in trials:
        progress(f"{trial.key}: maps of {len(cases)} samples")
        work = _Work.begin(store, trial, cases)
        trained = work.cams()
        rows["samples"] += work.samples()
        rows["maps"] += [
            row
            for j, label in enumerate(work.pairs.labels)
            for row in work.maps(GRAD_CAM, label, trained[:, j])
        ]
        rows["maps"] += [
            row
            for name, found in attention_maps(work.net, work.images).items()
            for row in work.maps(ATTENTION, name, found)
        ]
        for place, step in enumerate(work.steps()):
            progress(f"{trial.key}: {step} randomised")
            cams = work.cams()
            rows["maps"] += work.maps_of_cases(step, cams)
            rows["checks"].append(work.check(place, step, trained, cams))
    return rows


@dataclass(frozen=True, eq=False)
class _Work:
    """One trial's network and what it is shown."""

    trial: Shown
    cases: Sequence[Case]
    pairs: Pairs
    images: Float[Tensor, "n v 3 px px"]
    net: SiameseNet
    evidence: Evidence

    @classmethod
    def begin(cls, store: Store, trial: Shown, cases: Sequence[Case]) -> "_Work":
        spec = trial.spec
        if missing := [case.sample for case in cases if case.sample not in trial.predictions.sample]:
            raise SpecError(
                f"`--trial`: must have the same test samples, but {trial.key} has none named {missing[0]}. Show it alone."
            )
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        pairs, images = _load(spec.data, [case.sample for case in cases], device)
        net = (
            stored_network(store, trial.key, spec, len(pairs.labels), pairs.num_views)
            .to(device)
            .eval()
            .requires_grad_(False)
        )
        _require_stored_scores(store, trial.key, net, pairs, images)
        evidence = evidence_of(net) if trial.trains_head else _nearest_mean(store, trial.key, device)
        return cls(trial, cases, pairs, images, net, evidence)

    def cams(self) -> Float[Tensor, "n l v h w"]:
        return grad_cam(self.net, self.images, self.evidence)

    def steps(self) -> Iterator[str]:
        """Randomises the network part by part."""
        with torch.random.fork_rng():
            torch.manual_seed(FRESH_SEED)
            sets = getattr(self.net.head, "sets", None)
            fresh = build_network(
                without_weights(self.trial.spec), len(self.pairs.labels), self.pairs.num_views, sets
            )
        yield from cascade(self.net, fresh.to(self.images.device), with_head=self.trial.trains_head)

    def samples(self) -> list[dict[str, Any]]:
        """Rows of HEATMAP_SAMPLES."""
        found, rows = self.trial.predictions, []
        mean, std = (
            torch.tensor(numbers).view(3, 1, 1) for numbers in NORMALISE[self.trial.spec.data.normalise]
        )
        pixels = (self.images.cpu() * std + mean).clamp(0, 1).mul(255).round().byte().movedim(2, -1).numpy()
        for i, case in enumerate(self.cases):
            at = found.sample.index(case.sample)
            row = {
                "trial": self.trial.key,
                "sample": case.sample,
                "patient": found.patient[at],
                "chosen": case.chosen,
                "label": case.label,
            }
            said = {
                "target": found.target[at].tolist(),
                "score": found.score[at].tolist(),
                "decided": self.trial.decided[at].tolist(),
            }
            rows.append(
                {
                    **row,
                    **said,
                    "images": [_jpeg(eye) for eye in pixels[i]],
                    "synthetic": self.pairs.synthetic,
                }
            )
        return rows

    def maps(
        self, method: str, name: str, maps: Float[Tensor, "n v h w"], step: str = TRAINED
    ) -> list[dict[str, Any]]:
        """Rows of HEATMAP_MAPS for all cases; an eye without a map has none."""
        return [
            row
            for i, of_case in enumerate(maps)
            for row in self._rows(self.cases[i].sample, method, name, step, of_case)
        ]

    def maps_of_cases(self, step: str, cams: Float[Tensor, "n l v h w"]) -> list[dict[str, Any]]:
        """Rows of HEATMAP_MAPS of each case's own label."""
        rows = []
        for case, cam in zip(self.cases, cams, strict=True):
            rows += self._rows(
                case.sample, GRAD_CAM, case.label, step, cam[self.pairs.labels.index(case.label)]
            )
        return rows

    def _rows(
        self, sample: str, method: str, name: str, step: str, maps: Float[Tensor, "v h w"]
    ) -> list[dict[str, Any]]:
        height, width = maps.shape[1:]
        where = {"trial": self.trial.key, "sample": sample, "method": method, "name": name, "step": step}
        size = {"height": height, "width": width, "synthetic": self.pairs.synthetic}
        eyes = [(view, values) for view, values in enumerate(maps.cpu()) if not values.isnan().any()]
        return [{**where, "view": view, "values": values.flatten().tolist(), **size} for view, values in eyes]

    def check(
        self, place: int, step: str, trained: Float[Tensor, "n l v h w"], cams: Float[Tensor, "n l v h w"]
    ) -> dict[str, Any]:
        """Row of HEATMAP_CHECKS: how like the maps still are, over all cases and labels whose trained map says something."""
        ranks = rank_correlation(trained.flatten(0, 1), cams.flatten(0, 1))
        ssim = structural_likeness(trained.flatten(0, 1), cams.flatten(0, 1))
        known = ~(np.isnan(ranks) | np.isnan(ssim))
        means = [float(values[known].mean()) if known.any() else np.nan for values in (ranks, ssim)]
        return {"trial": self.trial.key, "place": place, "step": step, "rank_correlation": means[0], "ssim": means[1],
                "num_maps": int(known.sum()), "synthetic": self.pairs.synthetic}  # fmt: skip


def _load(
    data: DataSpec, samples: list[str], device: torch.device
) -> tuple[Pairs, Float[Tensor, "n v 3 px px"]]:
    """The samples and their images as the network sees them; the cache of these few lasts no longer than that."""
    pairs = open_dataset(data.dataset, data.root, num_patients=data.phantom_patients, unit=data.unit)
    at = {name: i for i, name in enumerate(pairs.table["sample"])}
    if missing := [name for name in samples if name not in at]:
        raise DataError(
            f"`data.root`: must hold the samples of the run, got none named {missing[0]} in `{pairs.root or 'the phantom'}`."
        )
    with tempfile.TemporaryDirectory() as folder:
        images = open_images(data, pairs.subset(np.array([at[name] for name in samples])), Path(folder))
        rows = np.arange(len(samples))
        batches = Batches(
            images, rows, batch_size=len(rows), device=device, normalise=data.normalise, align=data.align
        )
        return images.pairs, next(iter(batches)).images


def _require_stored_scores(
    store: Store, key: str, net: SiameseNet, pairs: Pairs, images: Float[Tensor, "n v 3 px px"]
) -> None:
    """Other images or another network under the same names would give maps that explain nothing of the stored predictions."""
    stored = predictions_of(
        store.read_table("predictions", [key], filters={"split": "test", "head": "network"})
    )[0]
    with torch.inference_mode():
        score = net.head.scores(net(images).logits).cpu().numpy()  # type: ignore[operator]
    expected = stored.score[[stored.sample.index(name) for name in pairs.table["sample"]]]
    if (worst := float(np.abs(score - expected).max())) > SAME_SCORE:
        raise DataError(
            f"`{key}`: must give the scores that it gave, got one that differs by {worst:.2f}. "
            f"The images in `{pairs.root or 'the phantom'}`, or the code, are no longer those of the run."
        )


def _nearest_mean(store: Store, key: str, device: torch.device) -> Evidence:
    train = embeddings_of(store.read_table("embeddings", [key], filters={"split": "train"}))[0].known()
    return nearest_mean(
        torch.from_numpy(train.embedding).to(device), torch.from_numpy(train.target).float().to(device)
    )


def _jpeg(pixels: UInt8[np.ndarray, "h w 3"]) -> bytes:
    picture = Image.fromarray(pixels)
    picture.thumbnail((PICTURE_PX, PICTURE_PX))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=90)
    return out.getvalue()

"""A trial with a frozen backbone gives the same numbers from kept features as from images."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.backbones import build_backbone
from models.siamese import SiameseNet
from study.data import features as feature_store
from study.data.augmentation import Augmentation
from study.data.batches import Batches
from study.data.cohort import open_cohort
from study.data.cutmix import CutMix
from study.engine.applying.apply import chosen_trial, predict
from study.engine.training.feature_plan import why_images
from study.engine.training.features import IMAGES_AT_A_TIME
from study.engine.training.fit import fit
from study.engine.training.scoring import score_splits
from study.engine.training.session import TrainingSession
from study.engine.training.workers import ALONE
from study.evidence.store import Store
from study.spec.errors import ResourceError
from study.spec.trial_spec import TrialSpec
from tests.engine.one_trial import order_of, train_whole

CPU = torch.device("cpu")
STILL = {"rotate_deg": 0, "scale": 0, "brightness": 0, "contrast": 0, "saturation": 0}
SPEC: dict[str, Any] = {
    "data": {
        "dataset": "odir5k",
        "phantom_patients": 60,
        "image_px": 32,
        "augmentation": {"flip": True, **STILL},
    },
    "model": {"backbone": {"name": "tiny", "freeze": "all"}, "embedding": {"dim": 16}},
    "optimiser": {"lr": 1e-2},
    "training": {"epochs": 3, "batch_size": 8, "warmup_epochs": 0},
}
CASES: dict[str, dict[str, Any]] = {
    "vectors": {},
    "turned and aligned": {
        "data.align": "flip_right",
        "data.augmentation.flip_vertical": True,
        "model.fusion": "casfm",
        "training.eye_weight": 0.5,
        "model.head": "multi_label",
    },
    "leading stages": {"model.backbone.freeze": 3, "training.precision": "float32"},
    "flips of images": {"model.attention": {"name": "mirror", "flips": "image"}},
    "single images": {"data.unit": "eye", "data.augmentation.flip_vertical": True, "model.pooling": "gem"},
    "late": {"model.fusion": "late", "training.eye_weight": 0.5},
    "balanced": {
        "data.dataset": {"name": "phantom", "variant": "grades", "num_patients": 60, "size_px": 40},
        "model.head": "softmax",
        "loss": "cross_entropy",
        "training.sampling": "class_balanced",
    },
    "bfloat16": {"training.precision": "bfloat16", "model.context": "osim"},
    "dropout": {
        "model.backbone": {"name": "efficientnet_b0", "freeze": "all"},
        "model.fusion": {"name": "ffm", "width": 8, "hidden": 8, "dropout": 0.5},
    },
}


def spec_of(changes: Mapping[str, Any]) -> TrialSpec:
    data: dict[str, Any] = {key: dict(part) for key, part in SPEC.items()}
    for path, value in changes.items():
        *parents, last = path.split(".")
        place = data
        for parent in parents:
            place[parent] = dict(place.get(parent, {}))
            place = place[parent]
        place[last] = value
    return TrialSpec.read(data)


def numbers(session: TrainingSession) -> Iterator[tuple[str, np.ndarray]]:
    """Everything that a trial records, epoch by epoch and split by split."""
    batches = session.training_batches(ALONE)
    epochs = fit(
        session.trained,
        session.loss,
        batches,
        session.evaluate,
        session.spec.optimiser,
        session.spec.training,
        session.device,
    )
    for epoch in epochs:
        yield f"losses of epoch {epoch.epoch}", np.array([epoch.train_loss, epoch.val_loss])
    found = score_splits("a", session)
    for split, embeddings in found.embeddings.items():
        yield f"embeddings of {split}", embeddings.embedding
    for predictions in found.network:
        yield f"scores of {predictions.split}", predictions.score
    swap = [row["value"] for row in found.scores if row["metric"] == "swap_change"]
    yield "change by exchange of the eyes", np.array(swap)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return tmp_path_factory.mktemp("cache")


def both(spec: TrialSpec, cache: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The numbers of a trial from images and from features."""
    from_images = TrainingSession.from_spec(spec, cache, CPU, features_gb=0)
    assert from_images.features is None
    expected = dict(numbers(from_images))
    from_features = TrainingSession.from_spec(spec, cache, CPU)
    assert from_features.features is not None
    return expected, dict(numbers(from_features))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_features_in_full_precision_give_the_numbers_of_images(
    case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept as they are computed, they leave nothing but the order of sums that the batch size decides."""
    monkeypatch.setattr(feature_store, "KEPT", np.dtype(np.float32))
    expected, found = both(spec_of(case), tmp_path)
    assert found.keys() == expected.keys()
    loose = case.get("training.precision") == "bfloat16"  # 8 significant bits
    for name, values in expected.items():
        np.testing.assert_allclose(
            found[name], values, err_msg=name, rtol=2**-7 if loose else 1e-4, atol=2**-7 if loose else 1e-5
        )


@pytest.mark.parametrize("name", ["vectors", "turned and aligned", "leading stages"])
def test_half_precision_moves_losses_and_scores_by_less_than_a_feature(name: str, cache: Path) -> None:
    """A feature is off by at most 2^-11 of itself; larger learning rates would let any rounding grow."""
    expected, found = both(spec_of({**CASES[name], "optimiser.lr": 1e-4}), cache)
    for what, values in expected.items():
        if not what.startswith("embeddings"):
            np.testing.assert_allclose(found[what], values, err_msg=what, rtol=2**-11, atol=2**-11)
    losses = [values[0] for what, values in expected.items() if what.startswith("losses")]
    assert losses[-1] < losses[0]  # something was learned, or equality would mean nothing


@pytest.mark.parametrize("features_gb", [0, 20])
def test_frozen_parts_behave_as_in_evaluation(features_gb: float, cache: Path) -> None:
    """EfficientNet has batch norm, and leaves out blocks by chance in training."""
    session = TrainingSession.from_spec(spec_of(CASES["dropout"]), cache, CPU, features_gb)
    assert (session.features is None) == (features_gb == 0)
    before = {name: tensor.clone() for name, tensor in session.net.backbone.state_dict().items()}
    outputs: list[torch.Tensor] = []
    session.net.context.register_forward_hook(lambda module, args, output: outputs.append(output.detach()))
    batch = next(iter(session.training_batches(ALONE)))[0]
    for _ in range(2):
        session.trained.train()(batch)
    assert torch.equal(*outputs)
    after = session.net.backbone.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_a_frozen_backbone_runs_once_for_each_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of(CASES["leading stages"])
    encoded: list[int] = []
    maps_of = SiameseNet.frozen_maps

    def counted(net: SiameseNet, images: torch.Tensor) -> torch.Tensor:
        if not images.is_meta:
            encoded.append(len(images))
        return maps_of(net, images)

    monkeypatch.setattr(SiameseNet, "frozen_maps", counted)
    progress: list[tuple[int, int]] = []
    for seed in (0, 0):
        changed = spec.training.model_copy(update={"seed": seed})
        session = TrainingSession.from_spec(
            spec.model_copy(update={"training": changed}),
            tmp_path,
            CPU,
            encoding=lambda *done: progress.append(done),
        )
    num_samples = len(session.cohort.pairs)
    assert sum(encoded) == 2 * num_samples  # as they are, and mirrored
    assert progress[-1] == (2 * num_samples, 2 * num_samples)
    assert max(encoded) <= IMAGES_AT_A_TIME // 2
    other = spec.training.model_copy(update={"seed": 1})  # the untrained weights are others
    TrainingSession.from_spec(spec.model_copy(update={"training": other}), tmp_path, CPU)
    assert sum(encoded) == 4 * num_samples


def test_components_and_vectors_are_taken_from_kept_maps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backbone runs once for all trials behind it: for the first, which keeps maps."""
    reduced: dict[str, Any] = {"model.backbone": {"name": "tiny", "freeze": "all", "reduce": 8}}
    cases: dict[str, dict[str, Any]] = {
        "components": reduced,
        "components of maps": {**reduced, "model.fusion": "casfm"},
        "vectors": {},
        "largest values": {"model.pooling": "max"},
    }
    monkeypatch.setattr(feature_store, "KEPT", np.dtype(np.float32))
    alone = {name: dict(numbers(opened(case, tmp_path / name))) for name, case in cases.items()}
    opened(reduced, tmp_path / "all")
    monkeypatch.setattr(SiameseNet, "frozen_maps", on_meta_only(SiameseNet.frozen_maps))
    for name, case in cases.items():
        found = dict(numbers(opened(case, tmp_path / "all")))
        for what, values in alone[name].items():
            np.testing.assert_allclose(found[what], values, err_msg=f"{name}: {what}", rtol=1e-4, atol=1e-5)
    assert len(list((tmp_path / "all").glob("features-*"))) == 5  # maps, and what the four cases train on


def opened(changes: Mapping[str, Any], cache: Path) -> TrainingSession:
    session = TrainingSession.from_spec(spec_of(changes), cache, CPU)
    assert session.features is not None
    return session


def on_meta_only(
    maps_of: Callable[[SiameseNet, torch.Tensor], torch.Tensor],
) -> Callable[[SiameseNet, torch.Tensor], torch.Tensor]:
    def checked(net: SiameseNet, images: torch.Tensor) -> torch.Tensor:
        assert images.is_meta, "the backbone ran again"
        return maps_of(net, images)

    return checked


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model.backbone.freeze": "none"}, "no leading stage"),
        ({"data.augmentation.rotate_deg": 5}, "ever new images by rotate_deg"),
        ({"data.augmentation.cutmix": {"kind": "same_label"}}, "ever new images by cutmix"),
        ({"model.attention": "se", "model.attention_at": "every_stage"}, "no leading part"),
    ],
)
def test_a_trial_works_from_images_where_it_must(changes: dict[str, Any], reason: str, cache: Path) -> None:
    spec = spec_of(changes)
    session = TrainingSession.from_spec(spec, cache, CPU)
    assert session.features is None
    assert reason in why_images(spec, session.net)
    assert session.trained is session.net


BANK: dict[str, Any] = {
    "data.augmentation": {
        "flip": True,
        "rotate_deg": 20,
        "brightness": 0.3,
        "cutmix": {"kind": "standard", "probability": 1.0, "box": "per_eye"},
    },
    "data.align": "flip_right",
    "training.feature_bank": 3,
}


def test_a_bank_holds_so_many_versions_of_each_training_sample(cache: Path) -> None:
    session = TrainingSession.from_spec(spec_of(BANK), cache, CPU)
    samples, data = session.cohort.images_of("train"), session.spec.data
    versions = [
        next(
            iter(
                Batches(
                    samples.images,
                    samples.rows,
                    batch_size=IMAGES_AT_A_TIME // 2,
                    device=CPU,
                    normalise=data.normalise,
                    augmentation=Augmentation(**data.augmentation.model_dump(exclude={"cutmix"})),
                    cutmix=CutMix(**data.augmentation.cutmix.model_dump()),
                    align=data.align,
                    seed=number,
                )
            )
        )
        for number in range(3)
    ]
    known = torch.stack([session.net.features(batch.images) for batch in versions])
    labels = torch.stack([batch.view_targets for batch in versions])
    seen: set[tuple[int, int]] = set()
    batches = session.training_batches(ALONE)
    for epoch in range(8):
        batches.set_epoch(epoch)
        for features, _, view_targets, rows in batches:
            for place, row in enumerate(rows.tolist()):
                if row >= IMAGES_AT_A_TIME // 2:
                    continue
                far = (known[:, row] - features[place]).abs().flatten(1).amax(1)
                version = int(far.argmin())
                assert far[version] < 1e-3 < far.sort().values[1]
                assert torch.equal(view_targets[place], labels[version, row])
                seen.add((version, row))
    assert len(seen) > 40  # nearly all of 3 versions of 16 samples
    assert ((labels > 0) & (labels < 1)).any()


def test_seeds_share_the_features_of_pretrained_weights(tmp_path: Path, cache: Path) -> None:
    weights = tmp_path / "tiny.pth"
    torch.save(build_backbone("tiny", image_px=32).net.state_dict(), weights)
    pretrained = {"model.backbone": {"name": "tiny", "weights": str(weights), "freeze": "all"}}
    plain, first, other = (
        TrainingSession.from_spec(spec_of({**pretrained, **changes}), cache, CPU).features
        for changes in ({}, {**BANK, "training.seed": 0}, {**BANK, "training.seed": 1})
    )
    assert plain is not None
    assert first is not None
    assert other is not None
    assert plain.bank is None
    assert first.bank is not None
    assert other.bank is not None
    assert first.bank.folder == other.bank.folder
    assert first.turned.folder == other.turned.folder == plain.turned.folder


def test_a_pretrained_frozen_network_is_read_once_and_draws_no_random_numbers(
    tmp_path: Path, cache: Path
) -> None:
    weights = tmp_path / "tiny.pth"
    torch.save(build_backbone("tiny", image_px=32).net.state_dict(), weights)
    wanted = {"name": "tiny", "weights": str(weights), "freeze": "all"}
    first, again, reduced, trained = (
        TrainingSession.from_spec(spec_of({"model.backbone": {**wanted, **change}}), cache, CPU).net
        for change in ({}, {}, {"reduce": 8}, {"freeze": "none"})
    )
    assert first.backbone.net is again.backbone.net is reduced.backbone.net
    assert trained.backbone.net is not first.backbone.net
    assert first.backbone.components is None
    assert reduced.backbone.components is not None
    for one, other in zip(first.head.parameters(), trained.head.parameters(), strict=True):
        assert torch.equal(one, other)
    torch.save(build_backbone("tiny", image_px=32).net.state_dict(), weights)
    changed = TrainingSession.from_spec(spec_of({"model.backbone": wanted}), cache, CPU).net
    assert changed.backbone.net is not first.backbone.net


def test_a_bank_that_is_too_large_is_refused_and_other_features_are_left_out(cache: Path) -> None:
    assert TrainingSession.from_spec(spec_of({}), cache, CPU, features_gb=1e-6).features is None
    with pytest.raises(
        ResourceError, match=r"`training.feature_bank`: must fit into `resources.features_gb`"
    ):
        TrainingSession.from_spec(spec_of(BANK), cache, CPU, features_gb=1e-6)


def test_a_trial_from_features_is_used_again_from_images(tmp_path: Path, cache: Path) -> None:
    spec = spec_of({"model.context": "osim", "model.fusion": "casfm"})
    train_whole(order_of(spec), tmp_path, cache)
    store = Store(tmp_path)
    again, _, pairs = predict(store, chosen_trial(store, None), open_cohort(spec.data, cache).pairs, cache)
    stored = store.read("predictions", filters={"head": "network", "split": "test"}).set_index("sample")
    by_name = dict(zip(pairs.table["sample"], again.score, strict=True))
    assert len(stored) > 5
    for sample, score in stored["score"].items():
        assert by_name[sample] == pytest.approx(np.asarray(score), abs=1e-3)

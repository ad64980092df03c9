"""What generators take is said before a study starts."""

from pathlib import Path
from typing import Any

import pytest
import torch

from models.generators.dcgan import Dcgan
from study.data.pairs import Pairs
from study.data.source import open_dataset
from study.engine.forecast.capacity import Node
from study.engine.forecast.forecast import BESIDE_S, Forecast, forecast, trial_seconds
from study.engine.forecast.generators import (
    PROBED,
    Generating,
    GeneratorProbe,
    generating,
    measure_generator,
    probe_generators,
)
from study.engine.forecast.preview import preview
from study.engine.forecast.probe import Probe, probe_key
from study.spec.components import Component
from study.spec.data_section import GeneratedSpec
from study.spec.errors import ResourceError, SpecError
from study.spec.study_file import StudySpec

DATA = {
    "dataset": {"name": "phantom", "variant": "ultrasound", "num_patients": 60},
    "image_px": 32,
    "crop": "none",
}
DCGAN = {"name": "dcgan", "latent": 4, "width": 2}
GENERATED = {"generator": DCGAN, "epochs": 10}
PROBE = Probe(
    train_s=0.01,
    embed_s=0.002,
    host_bytes=2**30,
    device_bytes=0,
    device_total=0,
    num_parameters=1000,
    num_trained=1000,
    num_features=16,
)
MADE = GeneratorProbe(train_s=0.5, num_parameters=100)
SHARES = {"type": "categorical", "choices": [0.5, 0.75]}


def study(
    generated: Any = GENERATED,
    search: Any = None,
    ablations: Any = None,
    head: str = "softmax",
    loss: str = "contrastive",
    **data: Any,
) -> StudySpec:
    return StudySpec.read(
        {
            "study": "made",
            "data": {**DATA, "generated": generated, **data},
            "model": {"backbone": "tiny", "embedding": {"dim": 8, "l2norm": True}, "head": head},
            "loss": loss,
            "training": {"epochs": 3},
            "search": search or {"trials": 5},
            "ablations": ablations or {},
        }
    )


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    return open_dataset(study().corners()[0].data)


def foreseen(spec: StudySpec, pairs: Pairs) -> Forecast:
    fillings = spec.corners()
    every = spec.trials_to_check()
    probes = probe_generators(every, pairs, lambda wanted, num: MADE)
    return forecast(spec, fillings, pairs, {probe_key(f): PROBE for f in every}, 2, probes)


def test_generators_are_trained_before_the_trials_for_every_epoch_over_the_training_images(
    pairs: Pairs,
) -> None:
    found, without = foreseen(study(), pairs), foreseen(study(None), pairs)
    real = 0.7 * len(pairs)
    num_bytes = 4 * 100 * len(pairs.labels) + int(real) * 32 * 32 * 3
    need = found.generating
    assert (need.trainings, need.again_s, need.num_bytes) == (len(pairs.labels), 0.0, num_bytes)
    assert need.before_s == pytest.approx(10 * real * 0.5)
    # One process trains them, however many trials run at a time.
    assert found.hours == pytest.approx(without.hours + 10 * real * 0.5 / 3600)
    assert found.cache_bytes == without.cache_bytes
    when = f"{10 * real * 0.5 / 60:.0f} min of that time before the first trial"
    line = f"{len(pairs.labels)} to train, {when}; another 376 KiB of disk with their images"
    assert dict(found.rows())["generators"] == line
    assert without.generating == Generating()
    assert "generators" not in dict(without.rows())


def test_generated_samples_lengthen_the_trials(pairs: Pairs) -> None:
    plain, all_made, half = (study(g).corners()[0] for g in (None, GENERATED, {**GENERATED, "share": 0.5}))
    real, val = 0.7 * len(pairs), 0.15 * len(pairs)
    assert trial_seconds(all_made, pairs, PROBE) == trial_seconds(plain, pairs, PROBE)
    expected = 3 * (2 * real * 0.01 + val * 0.002) + (len(pairs) + real) * 0.002 + BESIDE_S
    assert trial_seconds(half, pairs, PROBE) == pytest.approx(expected)


def test_shares_have_images_of_their_own_and_generators_in_common(pairs: Pairs) -> None:
    found = foreseen(study({**GENERATED, "share": SHARES}), pairs).generating
    real = 0.7 * len(pairs)
    assert found.trainings == len(pairs.labels)
    assert found.before_s == pytest.approx(10 * real * 0.5)
    assert found.num_bytes == 4 * 100 * len(pairs.labels) + (int(real / 0.5) + int(real / 0.25)) * 32 * 32 * 3


def test_each_image_setting_epochs_seed_and_generator_is_a_training(pairs: Pairs) -> None:
    px = {"type": "categorical", "choices": [32, 48]}
    table = {"svkma_table3": {"variants": {"long": {"data.generated": {**GENERATED, "epochs": 20}}}}}
    found = foreseen(study(image_px=px, ablations=table), pairs).generating
    assert found.trainings == 2 * 2 * len(pairs.labels)
    assert found.before_s == pytest.approx(2 * (10 + 20) * 0.7 * len(pairs) * 0.5)


def test_repeats_on_other_folds_train_generators_again(pairs: Pairs) -> None:
    one = foreseen(study(search={"trials": 5, "confirm": {"top": 2, "seeds": [1], "folds": 1}}), pairs)
    found = foreseen(study(search={"trials": 5, "confirm": {"top": 2, "seeds": [1], "folds": 5}}), pairs)
    assert one.generating.again_s == 0.0
    assert found.generating.before_s == one.generating.before_s
    assert found.generating.again_s == pytest.approx(5 * one.generating.before_s)
    assert found.generating.trainings == 6 * len(pairs.labels)
    assert found.generating.num_bytes == 6 * one.generating.num_bytes
    assert "in trials on other folds" in dict(found.rows())["generators"]
    px = {"type": "categorical", "choices": [32, 48, 64]}
    spec = study(search={"trials": 5, "confirm": {"top": 2, "seeds": [1], "folds": 5}}, image_px=px)
    probes = {str(spec.corners()[0].data.generated.generator): MADE}  # type: ignore[union-attr]
    again = generating(spec, spec.corners(), [], pairs, probes)
    # Three settings, of which two can be among the best two.
    assert again.trainings == (3 + 5 * 2) * len(pairs.labels)


def test_each_generator_is_probed_once_over_a_class_or_less(pairs: Pairs) -> None:
    asked: list[tuple[str, int]] = []

    def measured(wanted: GeneratedSpec, num: int) -> GeneratorProbe:
        asked.append((str(wanted.generator), num))
        return MADE

    choices = [DCGAN, {**DCGAN, "width": 3}]
    spec = study({**GENERATED, "generator": {"type": "categorical", "choices": choices}, "share": SHARES})
    probes = probe_generators(spec.corners(), pairs, measured)
    assert len(asked) == len(probes) == 2
    assert {num for _, num in asked} == {min(PROBED, int(0.7 * len(pairs) / len(pairs.labels)))}
    assert probe_generators(study(None).corners(), pairs, measured) == {}


def test_a_probe_trains_as_a_study_does(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, ...]] = []
    train = Dcgan.train_on

    def watched(self: Dcgan, images: torch.Tensor, **how: Any) -> Any:
        seen.append((tuple(images.shape), float(images.min()) >= -1, float(images.max()) <= 1, how["epochs"]))
        return train(self, images, **how)

    monkeypatch.setattr(Dcgan, "train_on", watched)
    probe = measure_generator(
        GeneratedSpec(generator=Component(name="dcgan", args={"latent": 4, "width": 2})), 3
    )
    assert seen == [((3, 3, 64, 64), True, True, 2)]
    assert probe.train_s > 0
    assert probe.num_parameters == sum(p.numel() for p in Dcgan(latent=4, width=2).parameters())


def test_a_forecast_refuses_data_without_generators_and_disks_without_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pairs: Pairs
) -> None:
    eyes = study(head="multi_label", loss="bce", dataset={"name": "phantom", "num_patients": 20})
    with pytest.raises(SpecError, match="must be null where a sample is a pair of eyes"):
        preview(eyes, tmp_path, [Node(2, 0)], lambda *_: [PROBE], lambda *_: MADE)
    found = foreseen(study(), pairs)
    monkeypatch.setattr(
        "study.engine.forecast.forecast.free_disk",
        lambda folder: found.cache_bytes + found.generating.num_bytes - 1,
    )
    with pytest.raises(ResourceError, match="must have room for"):
        found.require_fit(2**40, tmp_path, "s3://bucket/runs")

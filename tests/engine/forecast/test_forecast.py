"""What a study will take is said before it starts, and what cannot fit is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from study import run
from study.data.pairs import Pairs
from study.data.resident import MAX_RESIDENT
from study.data.source import open_dataset
from study.engine.cluster import nodes
from study.engine.forecast.capacity import Node
from study.engine.forecast.features import Keeping
from study.engine.forecast.forecast import (
    BESIDE_S,
    SPARE,
    THUMB_BYTES,
    forecast,
    gpu_share,
    image_bytes,
    trial_seconds,
)
from study.engine.forecast.preview import measured_share, preview
from study.engine.forecast.probe import FeatureProbe, Probe, heaviest, measure, probe_key
from study.engine.training.fit import fit
from study.spec.errors import ResourceError
from study.spec.study_file import StudySpec

GIB = 2**30
STUDY: dict[str, Any] = {
    "study": "small",
    "data": {"dataset": "phantom", "phantom_patients": 40, "image_px": 32},
    "model": {"backbone": "tiny", "embedding": {"dim": {"type": "categorical", "choices": [8, 64]}}},
    "training": {"epochs": 3, "batch_size": {"type": "categorical", "choices": [4, 8]}},
    "search": {"trials": 10},
    "ablations": {"dmsnet_table3": {"seeds": [0, 1], "variants": {"none": {"model.context": "none"}}}},
}
PROBE = Probe(
    train_s=0.01,
    embed_s=0.002,
    host_bytes=GIB,
    device_bytes=0,
    device_total=0,
    num_parameters=1000,
    num_trained=1000,
    num_features=16,
)
PROBE_ON_GPU = replace(PROBE, device_bytes=GIB // 2, device_total=80 * GIB)


def study(**changes: Any) -> StudySpec:
    return StudySpec.read({**STUDY, **changes})


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    return open_dataset(study().corners()[0].data)


def test_a_trial_takes_its_epochs_and_one_pass_over_all(pairs: Pairs) -> None:
    spec = study().corners()[0]
    assert (spec.training.epochs, spec.data.split.val, spec.data.split.test) == (3, 0.15, 0.15)
    expected = 3 * (0.7 * len(pairs) * 0.01 + 0.15 * len(pairs) * 0.002) + len(pairs) * 0.002 + BESIDE_S
    assert trial_seconds(spec, pairs, PROBE) == pytest.approx(expected)


def test_a_study_takes_its_search_and_its_ablations(pairs: Pairs) -> None:
    spec = study()
    fillings = spec.corners()
    probes = {probe_key(f): PROBE for f in fillings}
    one = trial_seconds(fillings[0], pairs, PROBE)
    found = forecast(spec, fillings, pairs, probes, concurrent=4)
    assert found.hours == pytest.approx((10 + 2) * one / 4 / 3600)
    assert found.cache_bytes == len(pairs) * 2 * (32 * 32 * 3 + THUMB_BYTES)
    assert found.run_bytes > 12 * len(pairs) * 4 * PROBE.num_features
    slow_probes = {key: replace(PROBE, train_s=1.0) for key in probes}
    slow = forecast(spec, fillings, pairs, slow_probes, concurrent=4)
    assert slow.hours > 10 * found.hours
    assert [what for what, _ in found.rows()] == ["trials", "time", "memory", "disk"]
    assert dict(found.rows())["trials"] == "10 of the search, 2 of ablations"
    assert "1.0 GiB a trial, 4.0 GiB for 4 at a time" in dict(found.rows())["memory"]


@pytest.mark.parametrize(("folds", "train"), [(1, 0.7), (4, 0.6)])
def test_repeats_of_the_best_count_as_trials(pairs: Pairs, folds: int, train: float) -> None:
    spec = study(search={"trials": 10, "confirm": {"top": 3, "seeds": [1, 2], "folds": folds}})
    fillings = spec.corners()
    probes = {probe_key(f): PROBE for f in fillings}
    found = forecast(spec, fillings, pairs, probes, concurrent=4)
    one = trial_seconds(fillings[0], pairs, PROBE)
    repeat = 3 * (train * len(pairs) * 0.01 + 0.15 * len(pairs) * 0.002) + len(pairs) * 0.002 + BESIDE_S
    assert found.hours == pytest.approx((12 * one + 6 * folds * repeat) / 4 / 3600)
    trials = f"10 of the search, {6 * folds} repeats of its best, 2 of ablations"
    assert dict(found.rows())["trials"] == trials
    small = study(search={"trials": 2, "confirm": {"top": 3}})
    fewer = forecast(small, fillings, pairs, probes, concurrent=4)
    assert fewer.trials["repeats of its best"] == 2 * 3
    assert found.run_bytes > forecast(study(), fillings, pairs, probes, concurrent=4).run_bytes


def test_every_image_setting_has_a_cache_of_its_own_and_a_gpu_keeps_the_last_ones(pairs: Pairs) -> None:
    lights = {"type": "categorical", "choices": ["none", "graham", "msr"]}
    sides = {"type": "categorical", "choices": [32, 64]}
    fillings = study(data={**STUDY["data"], "illumination": lights, "image_px": sides}).corners()
    assert image_bytes(fillings, pairs)[0] == len(pairs) * 2 * (64 * 64 * 3 + THUMB_BYTES)
    settings = {(f.data.image_px, f.data.illumination.name) for f in fillings}
    assert len(image_bytes(fillings, pairs)) == len(settings) >= 4
    spec = study(ablations={"dmsnet_table3": {"variants": {"dark": {"data.illumination": "clahe_lab"}}}})
    found = forecast(spec, spec.corners(), pairs, {probe_key(f): PROBE for f in spec.corners()}, concurrent=1)
    assert found.cache_bytes == 2 * len(pairs) * 2 * (32 * 32 * 3 + THUMB_BYTES)


def test_each_kind_of_training_is_probed_once_at_its_heaviest(pairs: Pairs) -> None:
    kinds = heaviest(study().corners(), pairs)
    assert {(key.backbone, key.batch_size) for key in kinds} == {("tiny", 4), ("tiny", 8)}
    first = kinds[next(key for key in kinds if key.batch_size == 4)]
    assert first.model.embedding.dim == 64  # the filling with more parameters


def test_a_probe_runs_the_real_training_steps(pairs: Pairs, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def watched(net: Any, loss: Any, batches: Any, *rest: Any) -> Any:
        seen.append([images.shape for images, *_ in batches])
        return fit(net, loss, batches, *rest)

    monkeypatch.setattr("study.engine.forecast.probe.fit", watched)
    threads = torch.get_num_threads()
    try:
        (probe,) = measure([study().corners()[0]], pairs, threads=1)
    finally:
        torch.set_num_threads(threads)
    assert seen == [[(4, 2, 3, 32, 32)] * 2]
    assert probe.train_s > 0
    assert probe.embed_s > 0
    assert probe.num_features == 8
    assert probe.host_bytes > 50 * 2**20
    assert (probe.device_bytes, probe.device_total) == (0, 0)
    assert probe.num_parameters > 100_000


STILL = {"rotate_deg": 0, "scale": 0, "brightness": 0, "contrast": 0, "saturation": 0}
FROZEN: dict[str, Any] = {
    "data": {**STUDY["data"], "augmentation": STILL},
    "model": {"backbone": {"name": "tiny", "freeze": "all"}, "fusion": "casfm"},
    "ablations": {},
}


def test_a_frozen_backbone_is_probed_from_images_and_from_features(pairs: Pairs) -> None:
    trial = study(**FROZEN).corners()[0]
    threads = torch.get_num_threads()
    try:
        (probe,) = measure([trial], pairs, threads=1)
    finally:
        torch.set_num_threads(threads)
    assert probe.features is not None
    assert min(probe.features.encode_s, probe.features.train_s, probe.features.embed_s) > 0
    trained = study().corners()[0]
    assert probe_key(trial)._replace(frozen="") == probe_key(trained)


def test_fine_tuning_is_foreseen_from_images_with_a_probe_of_its_own(pairs: Pairs) -> None:
    fast = replace(PROBE, features=FeatureProbe(encode_s=0.0, train_s=0.001, embed_s=0.0002))
    slow = replace(PROBE, train_s=0.1, host_bytes=5 * GIB)
    spec = study(**FROZEN, search={"trials": 10, "finetune": {"top": 2, "epochs": 7}})
    trials, finetuned = spec.corners(), spec.finetuned_trials()
    frozen = {probe_key(trial): fast for trial in trials}
    probes = {**frozen, **{probe_key(trial): slow for trial in finetuned}}
    assert len(probes) == 2 * len(frozen)
    found = forecast(spec, trials, pairs, probes, concurrent=1)
    one, tuned = trial_seconds(trials[0], pairs, fast), trial_seconds(finetuned[0], pairs, slow)
    assert tuned > 7 * 0.7 * len(pairs) * 0.1
    assert found.hours == pytest.approx((10 * one + 2 * tuned) / 3600, rel=1e-3)
    assert dict(found.rows())["trials"] == "10 of the search, 2 of its best fine-tuned"
    assert found.trial_s[1] == pytest.approx(tuned)
    assert found.host_bytes == 5 * GIB
    still = study(**{**FROZEN, "data": STUDY["data"]}).corners()[0]  # frozen, but from ever new images
    assert probe_key(still) not in probes


def test_trials_from_features_take_their_time_and_share_their_disk(pairs: Pairs) -> None:
    fast = replace(PROBE, features=FeatureProbe(encode_s=0.5, train_s=0.001, embed_s=0.0002))
    spec = study(**FROZEN)
    trials = spec.corners()
    assert len(trials) == 2  # two sizes of a batch share the features
    found = forecast(spec, trials, pairs, {probe_key(f): fast for f in trials}, concurrent=1)
    num_bytes = 2 * len(pairs) * 2 * 96 * 2 * 2 * 2  # turns, samples, views, channels, height, width, bytes
    assert found.keeping.set_bytes == (num_bytes,)
    assert found.keeping.making_s == pytest.approx(2 * len(pairs) * 0.5)
    one = trial_seconds(trials[0], pairs, fast)
    assert one == pytest.approx(0.1 * trial_seconds(trials[0], pairs, PROBE), rel=0.2, abs=BESIDE_S)
    assert found.hours == pytest.approx((10 * one + found.keeping.making_s) / 3600)
    rows = dict(found.rows())
    assert "of features, " in rows["disk"]
    assert "1 set of frozen backbones" in rows["features"]
    with pytest.raises(ResourceError, match="must have room for"):
        replace(found, cache_bytes=0, keeping=Keeping((2**60,))).require_fit(GIB, Path("/tmp"), "s3://b/r")
    none = study(**FROZEN, resources={"features_gb": 0})
    slow = forecast(none, trials, pairs, {probe_key(f): fast for f in trials}, concurrent=1)
    assert slow.keeping.set_bytes == ()
    assert slow.hours == pytest.approx(10 * trial_seconds(trials[0], pairs, PROBE) / 3600)


@pytest.mark.parametrize(
    ("device_bytes", "images", "trials"),
    [(10, [], 7), (35, [], 2), (37, [], 1), (100, [], 1), (10, [25], 2), (10, [20, 5, 5, 5], 2), (1, [], 8)],
)
def test_as_many_trials_share_a_gpu_as_its_memory_holds(
    device_bytes: int, images: list[int], trials: int
) -> None:
    large = replace(PROBE, device_bytes=device_bytes * GIB, device_total=80 * GIB)
    share = gpu_share([large, PROBE_ON_GPU], [n * GIB for n in images])
    assert int(1 / share) == trials
    assert trials == 1 or trials * (device_bytes + sum(images[:MAX_RESIDENT])) <= SPARE * 80
    assert gpu_share([PROBE], []) == 1.0


def test_packing_is_measured_only_where_the_study_leaves_it_open(pairs: Pairs) -> None:
    asked = []

    def measured(specs: Any, data: Any, threads: int) -> list[Probe]:
        asked.append(threads)
        return [replace(PROBE, device_bytes=17 * GIB, device_total=80 * GIB)] * len(specs)

    gpu = [Node(16, 1)]
    assert measured_share(study(), pairs, gpu, measured) == 0.25
    assert asked == [16]
    assert measured_share(study(resources={"gpus_per_worker": 0.5}), pairs, gpu, measured) == 1.0
    assert measured_share(study(resources={"workers": 2}), pairs, [Node(16, 2)], measured) == 1.0
    assert measured_share(study(), pairs, [Node(16, 0)], measured) == 1.0
    assert len(asked) == 1


def test_what_cannot_fit_is_refused(pairs: Pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = study()
    found = forecast(spec, spec.corners(), pairs, {probe_key(f): PROBE for f in spec.corners()}, concurrent=4)
    found.require_fit(4 * GIB, tmp_path, str(tmp_path))
    message = (
        r"4 trials at a time must fit the memory, got 1\.0 GiB for each and 3\.0 GiB free\. "
        r"Set resources\.concurrent=3"
    )
    with pytest.raises(ResourceError, match=message):
        found.require_fit(3 * GIB, tmp_path, str(tmp_path))
    with pytest.raises(ResourceError, match="Take smaller batches or images"):
        found.require_fit(GIB // 2, tmp_path, str(tmp_path))
    monkeypatch.setattr("study.engine.forecast.forecast.free_disk", lambda folder: 1000)
    with pytest.raises(ResourceError, match="must have room for"):
        found.require_fit(4 * GIB, tmp_path, "s3://bucket/runs")


def test_a_forecast_reads_labels_and_decodes_nothing(tmp_path: Path) -> None:
    found = preview(
        study(), tmp_path / "cache", [Node(2, 0)], lambda specs, data, threads: [PROBE] * len(specs)
    )
    assert found.concurrent == 2
    assert list(tmp_path.iterdir()) == []


def test_dry_run_says_what_a_study_takes_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(nodes, "measure_apart", lambda specs, data, threads: [PROBE] * len(specs))
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(STUDY))
    assert run.main(["small.yaml", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "nothing was started" in said
    assert "at most" in said
    assert [path.name for path in tmp_path.iterdir()] == ["small.yaml"]


def test_a_study_that_cannot_fit_ends_with_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        nodes,
        "measure_apart",
        lambda specs, data, threads: [replace(PROBE, host_bytes=2**50)] * len(specs),
    )
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(STUDY))
    assert run.main(["small.yaml", "--dry-run"]) == 2
    assert "must fit the memory" in capsys.readouterr().err.replace("\n", " ")


def test_a_frozen_backbone_is_counted_once(pairs: Pairs) -> None:
    spec = study(keep_weights=5)
    fillings = spec.corners()
    large = replace(PROBE, num_parameters=10**9, num_trained=10**9)

    def run_bytes(probe: Probe) -> int:
        probes = dict.fromkeys(map(probe_key, fillings), probe)
        return forecast(spec, fillings, pairs, probes, concurrent=1).run_bytes

    nothing = run_bytes(replace(PROBE, num_parameters=0, num_trained=0))
    assert run_bytes(large) - nothing == 4 * 10**9 * (6 + 4)  # five trials, one to come, and a checkpoint
    assert run_bytes(replace(large, num_trained=0)) - nothing == 4 * 10**9

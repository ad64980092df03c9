"""The study file is checked in every branch before anything runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from study.spec.ablation import ablation_trainings
from study.spec.errors import SpecError
from study.spec.json_schema import json_schema
from study.spec.reading import override, read_yaml
from study.spec.resolve import resolve
from study.spec.study_file import StudySpec
from study.spec.trial_spec import TrialSpec

STUDIES = sorted((Path(__file__).parents[2] / "search_spaces").glob("*.yaml"))
RANGE: dict[str, Any] = {"type": "int", "low": 1, "high": 9}
MINIMAL: dict[str, Any] = {"study": "a", "data": {"dataset": "phantom"}, "model": {"backbone": "tiny"}}


@pytest.mark.parametrize("path", STUDIES, ids=lambda p: p.stem)
@pytest.mark.parametrize("has_gpu", [True, False])
def test_every_study_file_is_valid_in_every_branch(path: Path, has_gpu: bool) -> None:
    resolved = resolve(path, {}, "auto", has_gpu=has_gpu)
    assert resolved.spec.study == path.stem
    assert resolved.profile == (
        "full" if has_gpu or "laptop" not in read_yaml(path).get("profiles", {}) else "laptop"
    )


def test_a_trial_is_read_back_as_it_was_written() -> None:
    spec = TrialSpec.read(
        {"data": MINIMAL["data"], "model": MINIMAL["model"], "loss": {"name": "focal", "gamma": 1.5}}
    )
    assert TrialSpec.read(json.loads(json.dumps(spec.dump()))) == spec


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modle": {}}, r"`modle`: unknown key. Did you mean `model`"),
        ({"training.epoch": 3}, r"`training.epoch`: unknown key. Did you mean `epochs`"),
        (
            {"model.backbone": {"name": "tiny", "weigths": "none"}},
            r"`model.backbone.weigths`: unknown key. Did you mean `weights`",
        ),
        (
            {"model.context": "osmi"},
            r"`model.context`: must be a known context, got `osmi`. Did you mean `osim`",
        ),
        (
            {"model.context": {"name": "osim", "kernl": 3}},
            r"`model.context.osim.kernl`: unknown key. Did you mean `kernel`",
        ),
        (
            {"model.context": {"name": "osim", "kernel": "big"}},
            r"`model.context.osim.kernel`: input should be",
        ),
        ({"optimiser.lr": -1}, r"`optimiser.lr`: input should be greater than 0, got -1"),
        ({"training.epochs": "many"}, r"`training.epochs`: input should be a valid integer.*got 'many'"),
        ({"data.generated": {"share": 0}}, r"`data.generated.share`: input should be greater than 0"),
        (
            {"data.generated": {"generator": "dcgn"}},
            r"`data.generated.generator`: must be a known generator, got `dcgn`. .*`dcgan`",
        ),
        ({"data.generated.epochs": RANGE}, r"`data.generated.epochs`: must be one value or a list"),
        ({"study": "a/b"}, r"`study`: string should match pattern"),
        ({"search.trials": RANGE}, r"`search.trials`: must be one value, since all trials share it"),
        ({"data.split.seed": RANGE}, r"`data.split.seed`: must be one value"),
        (
            {"data.dataset": {"type": "categorical", "choices": ["odir5k"]}},
            r"`data.dataset`: must be one value",
        ),
        (
            {"ablations.t": {"variants": {"a": {"model.context": "osmi"}}}},
            r"`ablations.t.variants.a`: `model.context`: must be a known",
        ),
        ({"ablations.t": {"variants": {"a/b": {}}}}, r"a name must be of letters, digits"),
        ({"thresholds": "f2"}, r"`thresholds`: input should be 'f1', 'youden' or 'half', got 'f2'"),
        (
            {"thresholds": {"type": "categorical", "choices": ["f1", "youden"]}},
            r"`thresholds`: must be one value, since all trials share it, got a hole",
        ),
        (
            {"bundles": {"b": {"name": "x", "thresholds": "half"}}},
            r"`bundles.b.x.thresholds`: must be one value, since all trials share it",
        ),
        (
            {"ablations.t": {"variants": {"a": {"thresholds": "half"}}}},
            r"`ablations.t.variants.a`: `thresholds`: must be that of the study",
        ),
    ],
)
def test_what_is_wrong_is_named_with_the_nearest_right_word(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        StudySpec.read(override(MINIMAL, changes))


def test_generated_images_may_be_searched_with_their_share() -> None:
    share = {"type": "float", "low": 0.2, "high": 0.8}
    hole: dict[str, Any] = {"type": "categorical", "choices": [None, {"share": share, "epochs": 3}]}
    spec = StudySpec.read(override(MINIMAL, {"data.generated": hole}))
    found = [trial.data.generated for trial in spec.corners()]
    assert found[0] is None
    assert [(g.generator.name, g.share, g.epochs, g.seed) for g in found if g] == [
        ("dcgan", 0.2, 3, 0),
        ("dcgan", 0.8, 3, 0),
    ]


def test_a_missing_part_is_named() -> None:
    with pytest.raises(SpecError, match="`model`: must be given"):
        StudySpec.read({"study": "a", "data": {"dataset": "phantom"}})


def test_profiles_and_settings_are_applied_in_this_order(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "study: a\ndata: {dataset: phantom}\nmodel: {backbone: tiny}\nsearch: {trials: 9}\n"
        "profiles: {laptop: {search.trials: 5, training.epochs: 2}}\n"
    )
    laptop = resolve(path, {"training.epochs": 7}, "auto", has_gpu=False)
    assert (laptop.profile, laptop.spec.search.trials) == ("laptop", 5)
    assert laptop.spec.preset({}).training.epochs == 7
    assert resolve(path, {}, "auto", has_gpu=True).spec.search.trials == 9
    with pytest.raises(SpecError, match=r"`--profile`: .*got `lapto`. Did you mean `laptop`"):
        resolve(path, {}, "lapto", has_gpu=False)


def test_the_identity_ignores_what_cannot_change_a_result() -> None:
    spec = StudySpec.read(MINIMAL)
    same = StudySpec.read(
        override(
            MINIMAL, {"title": "b", "storage": "elsewhere", "resources.concurrent": 3, "keep_weights": 9}
        )
    )
    other = StudySpec.read(override(MINIMAL, {"training.batch_size": 8}))
    assert spec.identity() == same.identity() != other.identity()


def test_variants_change_only_what_they_name() -> None:
    study = {
        **MINIMAL,
        "optimiser": {"lr": {"type": "float", "low": 1e-4, "high": 1e-2}},
        "ablations": {"t": {"seeds": [3], "variants": {"a": {}, "b": {"model.context": "osim"}}}},
    }
    spec = StudySpec.read(study)
    a, b = (spec.variant("t", name, 3, {"optimiser.lr": 2e-3}) for name in "ab")
    assert a.optimiser.lr == b.optimiser.lr == 2e-3
    assert (a.model.context.name, b.model.context.name, a.training.seed) == ("none", "osim", 3)
    assert a.model_copy(update={"model": b.model}) == b


def test_the_trials_to_check_are_the_corners_and_each_variant_with_its_first_seed() -> None:
    tables: dict[str, Any] = {"t": {"seeds": [3, 4], "variants": {"a": {}, "b": {"model.context": "osim"}}}}
    spec = StudySpec.read(override(MINIMAL, {"ablations": tables, "training.epochs": RANGE}))
    variants = [spec.variant("t", name, 3, {}) for name in "ab"]
    assert spec.ablation_trials() == variants
    assert spec.trials_to_check() == [*spec.corners(), *variants]
    assert [trial.training.seed for trial in spec.ablation_trainings()] == [3, 4, 3, 4]
    keys = [training.key for training in ablation_trainings("t", spec.ablations["t"])]
    assert keys == ["ablation-t-a-s3", "ablation-t-a-s4", "ablation-t-b-s3", "ablation-t-b-s4"]


def test_an_ablation_with_folds_trains_each_fold_and_its_tuning_counts() -> None:
    tune = {"parameters": ["training.epochs"], "trials": 3}
    table = {"folds": 2, "seeds": [5], "tune": tune, "variants": {"a": {}, "b": {"model.context": "osim"}}}
    spec = StudySpec.read(override(MINIMAL, {"ablations": {"t": table}, "training.epochs": RANGE}))
    keys = [training.key for training in ablation_trainings("t", spec.ablations["t"])]
    assert keys == [f"ablation-t-{name}-s5-f{fold}" for name in "ab" for fold in (0, 1)]
    trainings = spec.ablation_trainings()
    splits = [(trial.data.split.folds, trial.data.split.fold) for trial in trainings]
    assert splits == [(2, 0), (2, 1)] * 2 + [(1, 0)] * 4


def test_one_training_that_several_ablations_ask_for_stands_once() -> None:
    spelt_out = {"model.context": {"name": "osim", "scale_mode": "output_size"}}  # the default, said
    tables = {"t": {"variants": {"a": {"model.context": "osim"}}}, "u": {"variants": {"b": spelt_out}}}
    spec = StudySpec.read(override(MINIMAL, {"ablations": tables}))
    assert len(spec.ablation_trials()) == 2
    assert len(spec.ablation_trainings()) == 1


def test_the_fingerprint_counts_all_but_the_places_of_data() -> None:
    trial = StudySpec.read(MINIMAL).preset({})
    moved = trial.data.model_copy(update={"root": Path("/elsewhere")})
    assert trial.model_copy(update={"data": moved}).fingerprint() == trial.fingerprint()
    assert trial.repeated(seed=1, fold=0, folds=1).fingerprint() != trial.fingerprint()
    assert trial.repeated(seed=trial.training.seed, fold=1, folds=3).fingerprint() != trial.fingerprint()


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"objective": "macro_f1"}, "objective"),
        ({"data.split.seed": 7}, "data.split"),
        ({"data.phantom_patients": 99}, "data.phantom_patients"),
        ({"heads": ["svm"]}, "heads"),
    ],
)
def test_a_variant_cannot_change_what_makes_numbers_comparable(settings: dict[str, Any], key: str) -> None:
    tables = {"t": {"variants": {"a": settings}}}
    with pytest.raises(SpecError, match=rf"`ablations\.t\.variants\.a`: `{key}`: must be that of the study"):
        StudySpec.read(override(MINIMAL, {"ablations": tables}))


def test_a_variant_of_single_eyes_is_told_how_to_compare_them() -> None:
    tables = {"t": {"variants": {"one": {"data.unit": "eye"}}}}
    with pytest.raises(SpecError, match=r"`data\.unit`: must be that.*`training\.supervision: eyes`"):
        StudySpec.read(override(MINIMAL, {"ablations": tables}))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "training.epoch",
            r"must be parameters that the study searches, got 'training\.epoch'\. Did you mean",
        ),
        ("training.epochs", r"must be open in every variant, got `training\.epochs`, which `b` sets"),
    ],
)
def test_what_is_tuned_must_be_open_in_every_variant(name: str, message: str) -> None:
    variants: dict[str, Any] = {"a": {}, "b": {"training.epochs": 3}}
    tables = {"t": {"tune": {"parameters": [name]}, "variants": variants}}
    with pytest.raises(SpecError, match=message):
        StudySpec.read(override(MINIMAL, {"ablations": tables, "training.epochs": RANGE}))


def test_the_schema_knows_components_and_holes() -> None:
    schema = json.loads(json_schema())
    context = schema["properties"]["model"]["properties"]["context"]["anyOf"]
    assert "osim" in context[0]["anyOf"][0]["enum"]
    assert context[1] == {"$ref": "#/$defs/hole"}
    section, null = schema["properties"]["data"]["properties"]["generated"]["anyOf"][0]["anyOf"]
    assert null == {"type": "null"}
    assert section["properties"]["generator"]["anyOf"][0]["anyOf"][0] == {"enum": ["dcgan"]}
    thresholds = schema["properties"]["thresholds"]
    assert (thresholds["enum"], thresholds["default"]) == (["f1", "youden", "half"], "f1")
    assert schema["additionalProperties"] is False
    assert {"study", "data", "model"} <= set(schema["required"])

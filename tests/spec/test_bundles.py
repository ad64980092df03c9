"""Settings that make sense only together are chosen together."""

from typing import Any

import pytest

from study.spec.bundles import require_effect
from study.spec.errors import SpecError
from study.spec.holes import Plain, Scalar
from study.spec.reading import override
from study.spec.study_file import StudySpec

MARGIN = {"type": "float", "low": 0.3, "high": 1.5}
UNIT = {"name": "unit", "model.embedding.l2norm": True, "loss.margin": MARGIN}
FREE = {
    "name": "free",
    "model.embedding.l2norm": False,
    "loss.margin": {"type": "float", "low": 1.0, "high": 4.0},
}
STUDY: dict[str, Any] = {
    "study": "a",
    "data": {"dataset": "phantom"},
    "model": {"backbone": "tiny"},
    "loss": "contrastive",
    "bundles": {"distance": {"type": "categorical", "choices": [UNIT, FREE]}},
}


def test_a_choice_brings_its_settings_and_its_own_holes() -> None:
    spec = StudySpec.read(STUDY)
    assert set(spec.holes()) == {
        "bundles.distance",
        "bundles.distance.unit.loss.margin",
        "bundles.distance.free.loss.margin",
    }
    free = spec.preset({"bundles.distance": "free", "bundles.distance.free.loss.margin": 2.5})
    unit = spec.preset({"bundles.distance": "unit", "bundles.distance.free.loss.margin": 2.5})
    assert (free.model.embedding.l2norm, free.loss.args["margin"]) == (False, 2.5)
    assert (unit.model.embedding.l2norm, unit.loss.args["margin"]) == (True, 0.3)


def test_every_choice_is_checked_before_anything_runs() -> None:
    with pytest.raises(SpecError, match=r"`loss.contrastive.margn`: unknown key. Did you mean `margin`"):
        StudySpec.read(override(STUDY, {"bundles.distance.choices.1": {"name": "free", "loss.margn": 2.0}}))


def test_a_variant_is_stronger_than_a_bundle() -> None:
    ablation = {
        "t": {"variants": {"linear": {"loss": {"name": "contrastive", "form": "linear"}}, "as_is": {}}}
    }
    spec = StudySpec.read({**STUDY, "ablations": ablation})
    params: dict[str, Scalar] = {"bundles.distance": "free", "bundles.distance.free.loss.margin": 2.0}
    linear, as_is = (spec.variant("t", name, 0, params) for name in ("linear", "as_is"))
    assert linear.loss.args == {"form": "linear"}
    assert not linear.model.embedding.l2norm
    assert as_is.loss.args == {"margin": 2.0}


def test_a_bundle_that_a_variant_replaces_must_be_a_mapping() -> None:
    ablations = {"t": {"variants": {"a": {"bundles.distance": "unit"}}}}
    with pytest.raises(SpecError, match=r"`bundles.distance`: must be a mapping of dotted keys, got 'unit'"):
        StudySpec.read({**STUDY, "ablations": ablations})


@pytest.mark.parametrize(
    ("bundles", "message"),
    [
        ("unit", "`bundles`: must be a mapping of bundles by name"),
        (
            {"d": {"type": "categorical", "choices": ["unit"]}},
            r"`bundles.d`: must be .* each have a `name`, got 'unit'",
        ),
        (
            {"d": {"name": "x", "data.split.seed": 3}},
            r"`bundles.d.x.data.split.seed`: must be one value, since all trials share it",
        ),
        (
            {"d": {"name": "x", "optimiser.lr": 0.1}},
            r"`bundles.d.x.optimiser.lr`: must not be a hole of its own too",
        ),
    ],
)
def test_what_is_no_bundle_is_named(bundles: Plain, message: str) -> None:
    study = override(STUDY, {"optimiser.lr": {"type": "float", "low": 1e-4, "high": 1e-2}})
    with pytest.raises(SpecError, match=message):
        StudySpec.read({**study, "bundles": bundles})


@pytest.mark.parametrize("key", ["model.embedding.l2norm", "model.embedding.l2norm.more"])
def test_a_setting_that_every_choice_sets_anew_is_refused(key: str) -> None:
    template = StudySpec.read(STUDY).template
    with pytest.raises(
        SpecError, match=rf"`{key}`: must change something, .* Set `bundles\.distance` in its place"
    ):
        require_effect(template, [key])
    require_effect(template, ["model.embedding", "loss", "loss.gamma"])
    require_effect(override(template, {"bundles.distance.choices": [UNIT, {"name": "other"}]}), [key])

"""Post-hoc heads in a study file: names, or mappings that fix some settings."""

import json
from typing import Any

import pytest

from study.evidence.heads import FITTERS
from study.spec.errors import SpecError
from study.spec.json_schema import json_schema
from study.spec.posthoc import HEAD_SETTINGS, head_words, read_head
from study.spec.study_file import StudySpec
from study.spec.trial_spec import TrialSpec

MINIMAL: dict[str, Any] = {"study": "a", "data": {"dataset": "phantom"}, "model": {"backbone": "tiny"}}
PRINTED = {"name": "knn", "votes": "uniform", "k": 2, "distance": "euclidean"}


def study(heads: object) -> StudySpec:
    return StudySpec.read({**MINIMAL, "heads": heads})


def test_a_head_is_one_word_wherever_it_came_from() -> None:
    heads = ["knn", PRINTED, {"name": "gaussian_nb", "smoothing": 1e-9}, {"name": "svm", "c": 3}, "knn"]
    spec = study(heads).preset({})
    words = ["knn", "knn k=2 distance=euclidean votes=uniform", "gaussian_nb smoothing=1e-09", "svm c=3"]
    assert spec.heads == words
    assert TrialSpec.read(json.loads(json.dumps(spec.dump()))) == spec
    assert head_words(words) == words
    assert read_head("gaussian_nb smoothing=1e-09").fixed == {"smoothing": 1e-9}
    assert read_head("svm c=0.1234567891").fixed == {"c": 0.1234567891}
    assert study("all").preset({}).heads == "all"
    assert head_words("all") == list(HEAD_SETTINGS)


def test_every_head_has_its_settings_and_a_fitter() -> None:
    assert list(HEAD_SETTINGS) == list(FITTERS)


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        (["knm"], r"`heads`: must be post-hoc heads, got `knm`. Did you mean `knn`\?"),
        ([{"name": "knm", "k": 2}], r"`heads`: must be post-hoc heads, got `knm`. Did you mean `knn`\?"),
        ([{"name": "knn", "kk": 2}], r"`heads.knn.kk`: unknown key. Did you mean `k`\?"),
        ([{"name": "svm", "k": 2}], r"`heads.svm.k`: unknown key. .*Known: c\."),
        ([{"name": "knn", "k": 0}], r"`heads.knn.k`: input should be greater than or equal to 1, got 0"),
        ([{"name": "knn", "k": 51}], r"`heads.knn.k`: input should be less than or equal to 50, got 51"),
        ([{"name": "knn", "votes": "many"}], r"`heads.knn.votes`: input should be 'uniform' or 'distance'"),
        ([{"name": "svm", "c": 0}], r"`heads.svm.c`: input should be greater than 0, got 0"),
        (["knn k"], r"`heads`: must be a head's name and settings of the form key=value, got `knn k`"),
        ([2], r"`heads`: must be names of post-hoc heads or mappings with `name`, got 2"),
        ("knn", r"`heads`: must be `all` or a list of post-hoc heads, got 'knn'"),
        (PRINTED, r"`heads`: must be `all` or a list of post-hoc heads, got \{'name': 'knn'"),
    ],
)
def test_a_wrong_head_is_named_before_the_study_starts(heads: object, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        study(heads)


def test_fixed_settings_belong_to_the_identity_of_a_study() -> None:
    free, fixed = (study(heads).identity()["template.heads"] for heads in (["knn"], [PRINTED]))
    assert free != fixed
    assert fixed != study([{**PRINTED, "k": 3}]).identity()["template.heads"]


def test_the_schema_of_a_study_file_knows_every_head_and_its_settings() -> None:
    everything, some = json.loads(json_schema())["properties"]["heads"]["anyOf"]
    assert everything == {"const": "all"}
    names, *mappings = some["items"]["anyOf"]
    assert names == {"enum": list(HEAD_SETTINGS)}
    found = {mapping["properties"]["name"]["const"]: mapping for mapping in mappings}
    assert list(found) == list(HEAD_SETTINGS)
    assert set(found["knn"]["properties"]) == {"name", "k", "distance", "votes"}
    assert found["knn"]["properties"]["k"]["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 50}
    assert set(found["svm"]["properties"]) == {"name", "c"}
    assert found["svm"]["additionalProperties"] is False

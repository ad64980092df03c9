"""The part `heads` of a study file: classifiers on stored embeddings, and which of their settings are fixed.

A head is written as its name, and validation then chooses all of its settings; or as a mapping that fixes
some of them, and validation chooses the rest. Everywhere else a head is one word for both: `knn`, or
`knn k=2 distance=euclidean` with the fixed settings in the order below.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from study.spec import components
from study.spec.errors import SpecError, suggest
from study.spec.section import Section

MAX_K = 50
DistanceName = Literal["euclidean", "cosine"]
Votes = Literal["uniform", "distance"]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class NeighbourSettings(Section):
    """Settings of nearest neighbours; null leaves one to validation.

    Attributes:
        k: number of neighbours.
        distance: distance between two embeddings.
        votes: weight of a neighbour's vote, the same for all or 1 / distance.
    """

    k: Annotated[int, Field(ge=1, le=MAX_K)] | None = None
    distance: DistanceName | None = None
    votes: Votes | None = None


class PenaltySettings(Section):
    """Setting of a logistic regression or a support vector machine; null leaves it to validation.

    Attributes:
        c: weight of the training errors against the penalty.
    """

    c: Positive | None = None


class ForestSettings(Section):
    """Setting of a random forest; null leaves it to validation.

    Attributes:
        min_leaf: least number of samples in a leaf.
    """

    min_leaf: Count | None = None


class BoostingSettings(Section):
    """Setting of gradient boosting; null leaves it to validation.

    Attributes:
        rounds: number of trees.
    """

    rounds: Count | None = None


class BayesSettings(Section):
    """Setting of naive Bayes; null leaves it to validation.

    Attributes:
        smoothing: share of the greatest variance that is added to all variances.
    """

    smoothing: Positive | None = None


HEAD_SETTINGS: Mapping[str, type[Section]] = {
    "knn": NeighbourSettings,
    "knn_first": NeighbourSettings,
    "logistic_regression": PenaltySettings,
    "svm": PenaltySettings,
    "svm_unscaled": PenaltySettings,
    "random_forest": ForestSettings,
    "gradient_boosting": BoostingSettings,
    "gaussian_nb": BayesSettings,
}
"""Every post-hoc head with the settings that a study may fix."""


@dataclass(frozen=True)
class PosthocHead:
    """A post-hoc head.

    Attributes:
        name: Name of the classifier.
        fixed: The settings that are not left to validation.
    """

    name: str
    fixed: Mapping[str, Any]

    @property
    def neighbours(self) -> bool:
        """Whether the head is one of nearest neighbours."""
        return HEAD_SETTINGS[self.name] is NeighbourSettings

    def __str__(self) -> str:
        settings = (f"{key}={_word(value)}" for key, value in self.fixed.items())
        return " ".join((self.name, *settings))


def read_head(value: object) -> PosthocHead:
    """A head from its name, from a mapping with `name` and fixed settings, or from the one word for both.

    Raises:
        SpecError: The head or a setting is unknown, or a setting is out of its range.
    """
    given = _split(value) if isinstance(value, str) else value
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise SpecError(
            f"`heads`: must be names of post-hoc heads or mappings with `name`, got {value!r}. "
            f"Known: {', '.join(HEAD_SETTINGS)}."
        )
    name = given["name"]
    if name not in HEAD_SETTINGS:
        raise SpecError(f"`heads`: must be post-hoc heads, got `{name}`. {suggest(name, HEAD_SETTINGS)}")
    model = HEAD_SETTINGS[name]
    try:
        checked = model.model_validate({key: part for key, part in given.items() if key != "name"})
    except ValidationError as error:
        raise SpecError(components.validation_message(error, f"heads.{name}", model)) from None
    return PosthocHead(name, checked.model_dump(exclude_none=True))


def head_words(heads: object) -> list[str]:
    """Each head in one word, each once; for `all`, every head there is, with all settings left to validation.

    Raises:
        SpecError: It is no list, or a head is not as `read_head` wants it.
    """
    if heads == "all":
        return list(HEAD_SETTINGS)
    if not isinstance(heads, Sequence) or isinstance(heads, str):
        raise SpecError(
            f"`heads`: must be `all` or a list of post-hoc heads, got {heads!r}. "
            f"Known: {', '.join(HEAD_SETTINGS)}."
        )
    return list(dict.fromkeys(str(read_head(head)) for head in heads))


def read_heads(value: object) -> object:
    """The value of `heads` in a study file: `all` as it is, else each head in one word."""
    return value if value == "all" else head_words(value)


def heads_schema() -> dict[str, Any]:
    """JSON schema of the value of `heads`."""
    heads: list[dict[str, Any]] = [{"enum": list(HEAD_SETTINGS)}]
    for name, model in HEAD_SETTINGS.items():
        settings = model.model_json_schema()["properties"]
        heads.append(
            {
                "type": "object",
                "properties": {"name": {"const": name}, **settings},
                "required": ["name"],
                "additionalProperties": False,
            }
        )
    return {"anyOf": [{"const": "all"}, {"type": "array", "items": {"anyOf": heads}}]}


def _split(word: str) -> dict[str, str]:
    """`knn k=2` as a mapping."""
    name, *settings = word.split() or [""]
    given = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise SpecError(
                f"`heads`: must be a head's name and settings of the form key=value, got `{word}`. "
                "For example `knn k=2`."
            )
        given[key] = value
    return {**given, "name": name}


def _word(value: object) -> str:
    """`2`, `0.5` or `1e-09`, which is read back as the very number; a word as it is."""
    short = f"{value:g}" if isinstance(value, float) else str(value)
    return short if not isinstance(value, float) or float(short) == value else repr(value)

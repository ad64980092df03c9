"""The trials whose heat maps are shown side by side."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool

from study.engine.applying.apply import ChosenTrial, chosen_trial, stored_predictions, thresholds_of
from study.evidence.decisions import decide
from study.evidence.predictions import NETWORK, Predictions
from study.evidence.records import Role, State, best_first
from study.evidence.store import Store
from study.spec.errors import SpecError, StorageError

MOST_TRIALS = 7  # side by side on a page: the chosen one and the six networks of SVK_MA's figure 18


@dataclass(frozen=True)
class ShownTrial:
    """A trial whose network can be shown.

    Attributes:
        chosen: The trial.
        predictions: What its head says of the test samples with known labels.
        decided: The labels that each of these samples is said to carry.
    """

    chosen: ChosenTrial
    predictions: Predictions
    decided: Bool[np.ndarray, "n l"]

    @property
    def key(self) -> str:
        """Key of the trial."""
        return self.chosen.key


def trials_to_show(store: Store, keys: Sequence[str]) -> list[ShownTrial]:
    """The trials of these keys.

    Without a key they are the search's best trial and the best one of each ablation variant that kept
    weights.

    Raises:
        SpecError: A trial is unknown or did not complete, or too many are asked for.
        StorageError: A trial kept no weights, or the search's best one did not.
    """
    if len(set(keys)) > MOST_TRIALS:
        raise SpecError(
            f"`--trial`: must be at most {MOST_TRIALS} trials side by side, got {len(set(keys))}. Show fewer."
        )
    chosen = [chosen_trial(store, key) for key in dict.fromkeys(keys)] or _default_trials(store)
    without_weights = [trial.key for trial in chosen if not store.has_weights(trial.key)]
    if without_weights:
        all_keys = store.read("trial", columns=["trial"])["trial"]
        others = [key for key in all_keys if store.has_weights(key)]
        raise StorageError(
            f"`{without_weights[0]}`: must have its weights, but only the best trials keep them. "
            f"Those that have: {', '.join(others) or 'none'}. "
            "`keep_weights` in the study file, raised before it runs, keeps those of more trials of the "
            "search, `keep_weights_of` those of an ablation's variants."
        )
    return [_shown(store, trial) for trial in chosen]


def _default_trials(store: Store) -> list[ChosenTrial]:
    """The search's best trial, and the best one of each ablation variant, in the order of the study file.

    A variant without weights, or with other test samples than the best trial, is left out.
    """
    best = chosen_trial(store, None)
    trials = store.read("trial", columns=["trial", "role", "state", "table", "variant", "value"])
    complete = (trials["role"] == Role.ABLATION) & (trials["state"] == State.COMPLETE)
    variants = trials[complete & (trials["trial"] != best.key)]
    ranked = best_first(variants)
    has_weights = np.array([store.has_weights(key) for key in ranked["trial"]], dtype=bool)
    keys = ranked[has_weights].drop_duplicates(["table", "variant"])["trial"]
    samples = _samples(store, best.key)
    comparable = [key for key in keys if _samples(store, key) == samples][: MOST_TRIALS - 1]
    in_order = _in_file_order(store, comparable, variants.set_index("trial"))
    return [best, *(chosen_trial(store, key) for key in in_order)]


def _in_file_order(store: Store, keys: Sequence[str], variants: pd.DataFrame) -> list[str]:
    """The keys by ablation and variant as the study file lists them."""
    ablations: dict[str, list[str]] = json.loads(store.read_study()["ablations"])
    listed = [(table, variant) for table, names in ablations.items() for variant in names]

    def place(key: str) -> int:
        pair = (variants.at[key, "table"], variants.at[key, "variant"])
        return listed.index(pair) if pair in listed else len(listed)

    return sorted(keys, key=place)


def _samples(store: Store, key: str) -> set[str]:
    """The test samples of a trial."""
    return set(store.read("predictions", [key], ["sample"], {"split": "test", "head": NETWORK})["sample"])


def _shown(store: Store, trial: ChosenTrial) -> ShownTrial:
    predictions, kind = stored_predictions(store, trial, "test"), store.read_study()["kind"]
    return ShownTrial(trial, predictions, decide(predictions.score, kind, thresholds_of(store, trial, kind)))

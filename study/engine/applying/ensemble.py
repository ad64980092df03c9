"""The ensemble of a run, applied to samples that it has never seen."""

import json
from pathlib import Path

from study.data.pairs import Pairs
from study.engine.applying.apply import ChosenTrial, chosen_trial, predict
from study.evidence.ensemble import mean_predictions
from study.evidence.predictions import Predictions
from study.evidence.records import Role
from study.evidence.store import Store
from study.spec.errors import SpecError

Members = dict[str, float]
"""Weights of the trials of an ensemble, by key."""


def chosen_ensemble(store: Store) -> tuple[ChosenTrial, Members]:
    """The ensemble that was chosen last, with its members.

    Raises:
        SpecError: There is no ensemble, or a member has not kept its weights.
    """
    trials = store.read("trial", columns=["trial", "role", "spec", "head", "params", "ended"])
    found = trials[trials["role"] == Role.ENSEMBLE].sort_values("ended")
    if found.empty:
        raise SpecError(
            f"`--ensemble`: `{store.where}` must have an ensemble, got none: no mean of trials was better on "
            "validation than the best trial. Leave the option out."
        )
    row = {str(name): value for name, value in found.iloc[-1].items()}
    members: Members = json.loads(str(row["params"]))
    lost = [key for key in members if not store.has_weights(key)]
    if lost:
        raise SpecError(
            f"`--ensemble`: every member must have kept its weights, got none of {', '.join(lost)}. Run the "
            "study with a larger `keep_weights`."
        )
    return ChosenTrial.from_row(row), members


def predict_by_members(
    store: Store,
    ensemble: ChosenTrial,
    members: Members,
    pairs: Pairs,
    cache: Path,
    *,
    mirrored: bool = False,
) -> tuple[Predictions, Pairs]:
    """The weighted mean of the members' scores; arguments and errors as in `apply.predict`."""
    found = [predict(store, chosen_trial(store, key), pairs, cache, mirrored=mirrored) for key in members]
    predictions = [one for one, _, _ in found]
    return mean_predictions(predictions, list(members.values()), ensemble.key), found[0][2]

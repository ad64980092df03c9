"""K, distance and vote of nearest neighbours as parameters of a study, which cost no training.

The search does not suggest them: every trial tries all their options. An observation is a trial at a setting,
and its value is the validation value there.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
import pandas as pd
from jaxtyping import Float

from study.evidence.statistics.bootstrap import Resamples
from study.evidence.statistics.settings import setting_wins
from study.reporting.choice_stability import ChoiceStability
from study.reporting.other_settings import HEAD_OF_TIES, predictions_at_settings, split_setting
from study.reporting.run import Run

HEAD = HEAD_OF_TIES["distance"]
NAMES = {"knn.k": "KNN K", "knn.distance": "KNN distance", "knn.vote": "KNN vote"}
"""Name of each parameter by its key, in the order in which a setting has them."""
NUM_RANGES = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class NeighbourSettings:
    """The validation value of every complete trial at every setting that the trials have in common.

    Attributes:
        trials: Keys of the trials, the best first.
        options: The options of each parameter in `NAMES`.
        values: Value of each trial at each setting, by the measure `Run.head_measure`.
    """

    trials: tuple[str, ...]
    options: tuple[tuple[int | str, ...], ...]
    values: Float[np.ndarray, "t k d v"]

    def means(self, parameter: int) -> Float[np.ndarray, "t o"]:
        """The value of each trial at each option of a parameter, averaged over the other parameters."""
        others = tuple(axis for axis in (1, 2, 3) if axis != parameter + 1)
        return np.asarray(self.values.mean(axis=others))


@lru_cache(maxsize=8)
def neighbour_settings_of(run: Run) -> NeighbourSettings | None:
    """The run's; None where no two complete trials of the search have tried the same settings.

    A setting that half of the trials lack is left out, and then a trial that lacks a setting.
    """
    keys = [str(key) for key in run.ranked.index[run.ranked["value"].notna()]]
    wanted = {
        "head": HEAD,
        "metric": run.head_measure,
        "label": "",
        "split": "val",
        "decision": run.decided_by(run.head_measure, "tuned"),
    }
    rows = run.store.read("scores", keys, ("trial", "setting", "value"), wanted)
    table = rows.pivot(index="trial", columns="setting", values="value")
    table = table.dropna(axis="columns", thresh=len(table) // 2 + 1).dropna()
    if table.empty or len(table) < 2:
        return None
    parsed = [_parsed(str(setting)) for setting in table.columns]
    options = tuple(tuple(sorted(set(of_parameter))) for of_parameter in zip(*parsed, strict=True))
    settings = _settings(options)
    if set(settings) != set(map(str, table.columns)):
        return None
    table = table.reindex(index=[key for key in keys if key in table.index], columns=settings)
    values = table.to_numpy(float).reshape(len(table), *map(len, options))
    return NeighbourSettings(trials=tuple(map(str, table.index)), options=options, values=values)


def _settings(options: tuple[tuple[int | str, ...], ...]) -> list[str]:
    """Every combination of the options as it stands in the records, in the order of `values`, flattened."""
    return [f"k={k}, {distance}, {vote}" for k, distance, vote in product(*options)]


def _parsed(setting: str) -> tuple[int | str, ...]:
    """`k=5, cosine, uniform` as (5, "cosine", "uniform")."""
    k, way = split_setting(setting)
    return (k, *way.split(", "))


def own_setting(run: Run, trial: str) -> dict[str, int | str]:
    """K, distance and vote by their keys in `NAMES`, where neighbours stand for the trial; else empty."""
    setting = str(run.of_trial(trial, "setting"))
    if not split_setting(setting)[0]:
        return {}
    return dict(zip(NAMES, _parsed(setting), strict=True))


def winning_options(run: Run, stability: ChoiceStability) -> pd.DataFrame:
    """How often each option is in the best setting on the embedding of the trial that a resample picks.

    In each resample of the patients the trial is picked as `stability` says, and then the best setting of its
    neighbours on the same patients; equally good settings share the resample. The options of K are three
    ranges with equally many K.

    Returns:
        Columns parameter, option, probability, tried (share of the settings that have the option). There are
        no rows where the trials have no neighbours, nor for a parameter with one option.
    """
    columns = ["parameter", "option", "probability", "tried"]
    found = neighbour_settings_of(run)
    if found is None:
        return pd.DataFrame(columns=columns)
    wins = _wins(run, stability, found).reshape(found.values.shape[1:]) / len(stability.selection.picks)
    table = []
    for axis, (key, options) in enumerate(zip(NAMES, found.options, strict=True)):
        if len(options) == 1:
            continue
        of_option = wins.sum(axis=tuple(other for other in range(3) if other != axis))
        for part in np.array_split(np.arange(len(options)), min(NUM_RANGES, len(options))):
            first, last = options[part[0]], options[part[-1]]
            words = str(first) if first == last else f"{first} to {last}"
            table.append((key, words, float(of_option[part].sum()), len(part) / len(options)))
    return pd.DataFrame(table, columns=columns)


def _wins(run: Run, stability: ChoiceStability, found: NeighbourSettings) -> Float[np.ndarray, " s"]:
    """In how many resamples each setting is the best one of the picked trial."""
    settings = _settings(found.options)
    wins = np.zeros(len(settings))
    order = sorted(range(len(settings)), key=lambda i: split_setting(settings[i])[1])  # one search a way
    metric, picks = run.measures[run.head_measure], stability.selection.picks
    for place in np.unique(picks):
        trial = stability.keys[place]
        if trial not in found.trials:
            continue
        at_settings = predictions_at_settings(
            run.store, trial, "val", HEAD, [settings[i] for i in order], exclusive=run.kind != "multilabel"
        )
        first = next(at_settings, None)
        if first is not None:
            resamples = Resamples(first.patient, len(picks))
            weights = resamples.weights(first.patient)[:, picks == place]
            wins[order] += setting_wins(metric, run.kind, run.thresholds, [first, *at_settings], weights)
    return wins

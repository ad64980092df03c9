"""A trial's settings as what is its own: those that it does not share with most trials of the same table."""

from collections.abc import Sequence

from study.reporting.neighbour_settings import NAMES
from study.reporting.networks import SLOTS
from study.reporting.redaction import without_folders
from study.reporting.results import chosen_params, parameter_names, setting_words
from study.reporting.run import Run
from study.reporting.table import Text

COMPONENTS = (*(f"model.{slot}" for slot in SLOTS), "bundles.attention", "bundles.loss", "loss")


def common_settings(run: Run, trials: Sequence[str]) -> dict[str, object]:
    """The settings that more than half of several trials share."""
    of_trials = [chosen_params(run, trial) for trial in trials]
    found: dict[str, object] = {}
    for params in of_trials if len(trials) > 1 else ():
        for key, value in params.items():
            sharing = sum(repr(other.get(key)) == repr(value) for other in of_trials)
            if 2 * sharing > len(of_trials):
                found[key] = value
    return found


def settings_cell(run: Run, trial: str, common: dict[str, object]) -> Text:
    """What a trial has and most others have not; components stand first."""
    params = chosen_params(run, trial)
    own = {key: value for key, value in params.items() if repr(common.get(key)) != repr(value)}
    names = parameter_names(run) | NAMES
    keys = sorted((key for key in names if key in own), key=_place)
    chips = tuple(without_folders(f"{names[key]} {setting_words(own[key])}") for key in keys)
    if not chips and params:
        return Text("as most", quiet=True)
    return Text(", ".join(chips), chips=chips)


def common_remark(run: Run, common: dict[str, object]) -> tuple[str, ...]:
    """The shared settings as a sentence; nothing where there are none."""
    if not common:
        return ()
    names = parameter_names(run) | NAMES
    keys = sorted((key for key in names if key in common), key=_place)
    listed = ", ".join(f"{names[key]} {setting_words(common[key])}" for key in keys)
    return (f"A row names the settings that it does not share with most rows. Most have: {listed}.",)


def _place(key: str) -> int:
    """Components before all else; otherwise the order stays."""
    return COMPONENTS.index(key) if key in COMPONENTS else len(COMPONENTS)

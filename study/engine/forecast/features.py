"""What the features of frozen backbones will take: they are made once, before the trials work from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from study.data.pairs import Pairs
from study.engine.forecast.probe import Probe, ProbeKey, probe_key
from study.engine.training.feature_plan import images_key, kept_sets, num_training, plan_features
from study.spec.trial_spec import TrialSpec
from study.spec.wording import duration_text


@dataclass(frozen=True)
class Keeping:
    """The features that the trials of a study share.

    Attributes:
        set_bytes: Bytes of each set of features, the largest first; each machine keeps them all.
        making_s: Seconds of the frozen backbones' passes over the images.
    """

    set_bytes: tuple[int, ...] = ()
    making_s: float = 0.0

    @property
    def num_bytes(self) -> int:
        """Bytes of all sets together."""
        return sum(self.set_bytes)

    def text(self) -> str:
        """What is made, and how long it takes."""
        sets = "1 set" if len(self.set_bytes) == 1 else f"{len(self.set_bytes)} sets"
        made = f"{sets} of frozen backbones, each run once for each image"
        return f"{made}, {duration_text(self.making_s)} of that time before the trials"


def keeping(
    trials: Sequence[TrialSpec],
    pairs: Pairs,
    probes: Mapping[ProbeKey, Probe],
    most_gb: float,
) -> Keeping:
    """What making and keeping the features of these trials takes; trials share a set where they can.

    Args:
        trials: The trials.
        pairs: The data set.
        probes: One probe of each kind of trial.
        most_gb: `resources.features_gb`.
    """
    sets: dict[str, int] = {}
    making: dict[str, float] = {}  # what is condensed comes from maps, if they are kept
    for spec in trials:
        plan, found = plan_features(spec, pairs, most_gb), probes[probe_key(spec)].features
        if plan is None or found is None:
            continue
        num_train = num_training(spec, pairs)
        num_samples = len(plan.turns) * len(pairs) + plan.bank * num_train
        sets |= kept_sets(spec, plan, len(pairs), num_train)
        key = images_key(spec, plan)
        making[key] = max(making.get(key, 0), num_samples * found.encode_s)
    return Keeping(tuple(sorted(sets.values(), reverse=True)), sum(making.values()))

"""What the features of frozen backbones will take: they are made once, before the trials work from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from study.data.pairs import Pairs
from study.engine.forecast.probe import Probe, ProbeKey, probe_key
from study.engine.training.feature_plan import num_training, plan_features, set_key
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
    sets: dict[str, tuple[int, float]] = {}
    for spec in trials:
        plan, found = plan_features(spec, pairs, most_gb), probes[probe_key(spec)].features
        if plan is None or found is None:
            continue
        num_train = num_training(spec, pairs)
        num_samples = len(plan.turns) * len(pairs) + plan.bank * num_train
        need = (plan.num_bytes(len(pairs), num_train), num_samples * found.encode_s)
        sets[set_key(spec, plan)] = need
    all_bytes = sorted((num_bytes for num_bytes, _ in sets.values()), reverse=True)
    return Keeping(tuple(all_bytes), sum(seconds for _, seconds in sets.values()))

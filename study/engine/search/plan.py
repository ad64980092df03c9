"""What to run next: the search's suggestions, then repeats of its best, ablations and baselines. It knows the records, but no Ray.

The records are the memory: nothing but the Parquet of finished trials and the orders of unfinished ones is needed to go on.
"""

import json
import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Any

from study.engine.orders.trial_order import TrialOrder
from study.engine.search.suggestions import Suggestions, Told
from study.spec.study_file import StudySpec
from study.spec.trial_spec import TrialSpec

UNTRAINED = "baseline-untrained"

Record = Mapping[str, Any]


class Plan:
    """Orders in their turn, and what became of them.

    Args:
        spec: the study.
        records: the TRIAL rows of finished trials.
        epochs: their EPOCHS rows, for the pruner.
        interrupted: orders that were given out before and never finished; they come first, unchanged.
        minimised: for each objective whether smaller is better; the first one never is.

    Attributes:
        finished: state and value of every finished trial, by key.
        stopped: why nothing more is given out, empty while all is well.
    """

    def __init__(
        self,
        spec: StudySpec,
        records: list[Record],
        epochs: list[Record],
        interrupted: list[TrialOrder],
        minimised: Sequence[bool] = (False,),
    ) -> None:
        self.spec, self.stopped = spec, ""
        self.finished: dict[str, tuple[str, float | None]] = {
            row["trial"]: (row["state"], row["value"]) for row in records
        }
        self._running: dict[str, TrialOrder] = {}
        self._pruned: set[str] = set()
        self._waiting = deque(interrupted)
        self._followed_up = False
        self._failures: list[str] = []
        searched = [row for row in records if row["role"] == "search"]
        going_on = {
            o.number: (o.params, o.trial_spec().training.epochs) for o in interrupted if o.number is not None
        }
        self._num_trials = spec.num_trials
        self._suggestions = Suggestions(spec, _told(searched, epochs), going_on, minimised)
        self._next_number = max([int(row["number"]) for row in searched] + [*going_on], default=-1) + 1

    @property
    def keys(self) -> list[str]:
        """Keys of all orders, those to come included as far as they are known."""
        search = [f"search-{n:05d}" for n in range(self._num_trials)]
        return [*dict.fromkeys([*self.finished, *self._running, *search, *self._ablation_keys(), UNTRAINED])]

    @property
    def num_left(self) -> int:
        """Orders still to be given out, interrupted ones included."""
        return (
            len(self._waiting) + self._num_search_left() + (0 if self._followed_up else self._num_following())
        )

    @property
    def running(self) -> int:
        """Orders given out and not finished."""
        return len(self._running)

    @property
    def best(self) -> tuple[float, dict[str, Any]] | None:
        """Validation value and parameters of the search's best complete trial."""
        return self._suggestions.best

    @property
    def done(self) -> bool:
        """Whether every order has been given out and none can come back."""
        return not self._running and (bool(self.stopped) or self.num_left == 0)

    def next(self) -> TrialOrder | None:
        """The next order; None while nothing can be decided before a running trial ends, or at the end of the plan."""
        if self.stopped:
            return None
        if not self._waiting and self._num_search_left() > 0:
            self._suggest()
        if not self._waiting and not self._followed_up and self._search_is_over():
            self._waiting.extend(self._following())
            self._followed_up = True
        if not self._waiting:
            return None
        order = self._waiting.popleft()
        self._running[order.key] = order
        return order

    def again(self, order: TrialOrder) -> None:
        """Puts a running order back in the first place, perhaps changed."""
        del self._running[order.key]
        self._waiting.appendleft(order)

    def stop(self, reason: str) -> None:
        """Gives nothing more out."""
        self.stopped = reason

    def report(self, key: str, epoch: int, value: float, judged: bool = True) -> bool:
        """Notes the value of an epoch of a running trial; True when it is one of the search and the pruner stops it.

        Args:
            key: of the order.
            epoch: from 1.
            value: the first objective.
            judged: False for an epoch from before an interruption, which was judged when it was new.
        """
        order = self._running[key]
        if order.number is None:
            return False
        stops = self._suggestions.report(order.number, epoch, value) and judged
        if stops:
            self._pruned.add(key)
        return stops

    def was_stopped(self, key: str) -> bool:
        """Whether the pruner stopped this trial."""
        return key in self._pruned

    def finish(
        self, key: str, state: str, values: Sequence[float] = (), outcome: str = "", message: str = ""
    ) -> None:
        """Notes how an order ended; the sampler is told the same.

        Args:
            key: of the order.
            state: complete, pruned or failed.
            values: of the objectives, the first of a pruned trial being its best so far.
            outcome: label of a failure.
            message: what it said.
        """
        order = self._running.pop(key)
        self.finished[key] = (state, values[0] if values else None)
        if order.number is not None:
            self._suggestions.tell(order.number, state, values if state == "complete" else ())
        self._count_failure(state, outcome, message)

    def _count_failure(self, state: str, outcome: str, message: str) -> None:
        """Ends the study when so many trials failed in a row; one that diverges says nothing once another one did not."""
        if state != "failed":
            self._failures.clear()
        elif outcome != "non_finite_loss" or self.best is None:
            self._failures.append(": ".join(filter(None, (outcome.replace("_", " "), message))))
        limit = self.spec.search.max_consecutive_failures
        if len(self._failures) >= limit and not self.stopped:
            cause, times = Counter(self._failures).most_common(1)[0]
            self.stop(f"{len(self._failures)} trials in a row failed, {times} of them with: {cause}")

    def _num_search_left(self) -> int:
        given = sum(key.startswith("search-") for key in (*self.finished, *self._running))
        return max(0, self._num_trials - given - sum(o.role == "search" for o in self._waiting))

    def _search_is_over(self) -> bool:
        return self._num_search_left() == 0 and not any(o.role == "search" for o in self._running.values())

    def _suggest(self) -> None:
        suggested = self._suggestions.ask(self._next_number)
        if suggested is not None:
            spec, params = suggested
            self._waiting.append(
                TrialOrder(
                    f"search-{self._next_number:05d}", "search", spec.dump(), params, self._next_number
                )
            )
            self._next_number += 1

    def _missing(self, keys: list[str]) -> list[str]:
        known = {*self.finished, *self._running, *(o.key for o in self._waiting)}
        return [key for key in keys if key not in known]

    def _ablation_keys(self) -> list[str]:
        return [
            f"ablation-{t}-{v}-s{s}"
            for t, a in self.spec.ablations.items()
            for v in a.variants
            for s in a.seeds
        ]

    def _num_following(self) -> int:
        """How many repeats, ablations and baselines are to come; which repeats is known when the search is over."""
        known = sum(
            key.startswith("confirm-")
            for key in (*self.finished, *self._running, *(o.key for o in self._waiting))
        )
        return max(0, self.spec.num_repeats - known) + len(self._missing([*self._ablation_keys(), UNTRAINED]))

    def _following(self) -> list[TrialOrder]:
        """Repeats of the best configurations, ablations on the best one, and its untrained network."""
        best = self.best[1] if self.best else {}
        orders = self._confirmations()
        for table, ablation in self.spec.ablations.items():
            params = best if ablation.base == "best" else {}
            for variant in ablation.variants:
                for seed in ablation.seeds:
                    spec = self.spec.variant(table, variant, seed, params)
                    orders.append(
                        TrialOrder(
                            f"ablation-{table}-{variant}-s{seed}",
                            "ablation",
                            spec.dump(),
                            table=table,
                            variant=variant,
                        )
                    )
        orders.append(TrialOrder(UNTRAINED, "baseline", self.spec.preset(best).dump(), trains=False))
        missing = set(self._missing([order.key for order in orders]))
        return [order for order in orders if order.key in missing]

    def _confirmations(self) -> list[TrialOrder]:
        confirm = self.spec.search.confirm
        if confirm is None:
            return []
        orders = []
        for _, number, params in self._suggestions.ranked(confirm.top):
            spec = self.spec.preset(params)
            for seed in confirm.seeds:
                for fold in range(confirm.folds):
                    key = f"confirm-{number:05d}-s{seed}" + (f"-f{fold}" if confirm.folds > 1 else "")
                    repeat = repeated(spec, seed, fold, confirm.folds)
                    orders.append(
                        TrialOrder(key, "confirm", repeat.dump(), params, variant=f"search-{number:05d}")
                    )
        return orders


def repeated(spec: TrialSpec, seed: int, fold: int, folds: int) -> TrialSpec:
    """The same configuration with another seed, and with one fold of the patients as test set where there are several."""
    data = spec.data
    if folds > 1:
        data = data.model_copy(
            update={"split": data.split.model_copy(update={"folds": folds, "fold": fold, "file": None})}
        )
    return spec.model_copy(update={"data": data, "training": spec.training.model_copy(update={"seed": seed})})


def _told(searched: list[Record], epochs: list[Record]) -> list[Told]:
    """How every finished trial of the search went."""
    curves: dict[str, dict[int, float]] = {}
    for row in epochs:
        if math.isfinite(row["value"]):
            curves.setdefault(row["trial"], {})[int(row["epoch"])] = float(row["value"])
    told = []
    for row in searched:
        values = list(json.loads(row["objectives"]).values())
        asked = json.loads(row["spec"])["training"]["epochs"]
        told.append(
            Told(
                int(row["number"]),
                json.loads(row["params"]),
                row["state"],
                values,
                curves.get(row["trial"], {}),
                asked,
            )
        )
    return told

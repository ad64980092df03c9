"""How probable it is that each option of each parameter is in the best trial.

Source: the project's own, from the resamples of Tsamardinos et al. 2018.
Differs: nothing.
"""

from itertools import chain

from study.evidence.statistics.selection import option_shares
from study.reporting.choice_stability import choice_stability_of
from study.reporting.neighbour_settings import NAMES, winning_options
from study.reporting.results import parameter_names
from study.reporting.run import Run
from study.reporting.table import Column, Row, Table, Text, Value

OF_NEIGHBOURS = (
    "K, distance and vote were tried on every trial: in each resample the best setting of nearest neighbours "
    "is found for the trial that wins there, whichever head stands for it; equally good settings share the "
    "resample."
)


class Options:
    """One row for each option: in how many resamples it wins, and how often it was tried."""

    section = "search"

    def build(self, run: Run) -> Table | None:
        """The table; None with fewer than two complete trials."""
        stability = choice_stability_of(run)
        if stability is None:
            return None
        params = [run.of_trial(key, "params") for key in stability.keys]
        searched = option_shares(stability.selection.pick_share, params)
        of_neighbours = winning_options(run, stability)
        shares = chain(searched.itertuples(index=False), of_neighbours.itertuples(index=False))
        names = parameter_names(run) | NAMES
        rows, last = [], ""
        for parameter, option, probability, tried in shares:
            name = names[parameter] if parameter != last else ""
            cells = (Text(name), Text(option), Value(value=probability), Value(value=tried))
            rows.append(Row(f"{parameter}={option}", cells))
            last = parameter
        if not rows:
            return None
        remarks = ["An option that was tried more often wins more often by chance alone."]
        if len(of_neighbours):
            remarks.append(OF_NEIGHBOURS)
        best = "Share of the resamples of patients in which a trial with the option wins"
        columns = (
            Column("parameter", "Parameter", words=True),
            Column("option", "Option", words=True),
            Column("probability", "Share of choices", help=best),
            Column("tried", "Tried", help="Share of the trials, or settings, that had the option"),
        )
        return Table(
            name="options",
            title="Which option is chosen when patients are resampled",
            columns=columns,
            rows=tuple(rows),
            caption=(
                "From 500 resamples of the validation patients; numbers are put into three ranges with "
                "equally many trials."
            ),
            remarks=tuple(remarks),
            synthetic=run.synthetic,
        )

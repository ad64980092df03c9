"""How probable it is that each option of each searched parameter is in the best trial.

Source: the project's own, from the resamples of Tsamardinos et al. 2018.
Differs: nothing.
"""

from study.evidence.statistics.selection import option_shares
from study.reporting.choice_stability import choice_stability_of
from study.reporting.results import parameter_names
from study.reporting.run import Run
from study.reporting.table import Column, Row, Table, Text, Value


class Options:
    """One row an option, beside how often it was tried."""

    section = "search"

    def build(self, run: Run) -> Table | None:
        """The table; None with fewer than two complete trials."""
        picking = choice_stability_of(run)
        if picking is None:
            return None
        shares = option_shares(
            picking.selection.pick_share, [run.of_trial(key, "params") for key in picking.keys]
        )
        names = parameter_names(run)
        rows, last = [], ""
        for parameter, option, probability, tried in shares.itertuples(index=False):
            name = names[parameter] if parameter != last else ""
            cells = (Text(name), Text(option), Value(probability), Value(tried))
            rows.append(Row(f"{parameter}={option}", cells))
            last = parameter
        if not rows:
            return None
        columns = (
            Column("parameter", "Parameter", words=True),
            Column("option", "Option", words=True),
            Column(
                "probability",
                "Probability of being best",
                help="Share of the resamples of patients in which a trial with it wins",
            ),
            Column("tried", "Tried", help="Share of the trials that had it"),
        )
        caption = "From 500 resamples of the validation patients; numbers are put into three ranges with equally many trials."
        remark = "An option that was tried more often wins more often by chance alone."
        return Table(
            "options",
            "Which option is probably best",
            columns,
            tuple(rows),
            caption,
            (remark,),
            run.synthetic,
        )

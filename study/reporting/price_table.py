"""What leakage is worth, as a table for the console and for a file."""

import math
from collections.abc import Sequence

import pandas as pd
from rich.table import Table

from study.evidence.leakage import Price
from study.evidence.statistics.comparison import Comparison
from study.reporting.answer import with_interval
from study.reporting.measures import short_name
from study.reporting.table import Value


def price_frame(found: Sequence[Price]) -> pd.DataFrame:
    """One row for each metric and split."""
    nothing = math.nan
    rows = []
    for price in found:
        gain = price.gain
        difference = (gain.difference, gain.low, gain.high, gain.p_value) if gain else [nothing] * 4
        rows.append(
            {
                "metric": price.metric,
                "split": price.split,
                "value": price.value.value,
                "low": price.value.low,
                "high": price.value.high,
                **dict(zip(("gain", "gain_low", "gain_high", "p"), difference, strict=True)),
                "training_images": price.training_images,
                "leaked_images": price.leaked,
                "synthetic": price.synthetic,
            }
        )
    return pd.DataFrame(rows)


def price_text(found: Sequence[Price], seeds: int) -> Table:
    """The same for people."""
    first = found[0]
    table = Table(
        title=f"{'SYNTHETIC  ' if first.synthetic else ''}What a leak is worth: {seeds} divisions; in each, "
        f"three trainings share the test images and have {first.training_images:.0f} training images",
        box=None,
        header_style="bold",
        title_justify="left",
    )
    for name, justify in (("split", "left"), ("leaked", "right"), ("metric", "left")):
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("test", justify="right", no_wrap=True)
    table.add_column("gain by the leak", justify="right", no_wrap=True)
    for price in found:
        table.add_row(
            price.split,
            f"{price.leaked:.0f}",
            short_name(price.metric),
            with_interval(Value(value=price.value.value, low=price.value.low, high=price.value.high)),
            _gain(price.gain),
        )
    return table


def _gain(gain: Comparison | None) -> str:
    if gain is None:
        return ""
    return with_interval(Value(value=gain.difference, low=gain.low, high=gain.high, signed=True))

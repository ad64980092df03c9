"""The console's tables of an external test, in a narrow and in a wide terminal."""

import io

import numpy as np
import pytest
from rich.console import Console

from study.evidence.external_test import external_test
from study.external_tables import show_external_test
from tests.evidence.fakes import LABELS, fake_predictions


@pytest.mark.parametrize("width", [80, 160])
def test_every_number_stands_whole_on_one_line_that_fits(width: int) -> None:
    new, own = fake_predictions(split="test", num_samples=120), fake_predictions(split="test", num_samples=90)
    found = external_test(new, own, "multilabel", LABELS, np.array([0.3, 0.5, 0.6]), new)
    text = io.StringIO()
    console = Console(file=text, width=width)
    show_external_test(found, 120, LABELS, console)
    lines = text.getvalue().splitlines()
    row = found.query(f"metric == 'auc' and label == '{LABELS[0]}'").iloc[0]
    for before in ("", "test_"):
        value, low, high = (row[f"{before}{part}"] for part in ("value", "low", "high"))
        assert any(f"{value:.3f} [{low:.3f}, {high:.3f}]" in line for line in lines)
    assert "…" not in text.getvalue()
    assert text.getvalue().count("]") == 3 * len(found.query("label == ''")) + 4 * len(LABELS)
    assert len([line for line in lines if line.split()[:1] == ["label"]]) == (1 if width == 160 else 2)


def test_a_long_name_gives_way_to_the_numbers() -> None:
    new = fake_predictions(split="test", num_samples=120)
    found = external_test(new, new, "multilabel", LABELS, np.array([0.3, 0.5, 0.6]))
    long = [f"{label} with everything that a sheet may say of it" for label in LABELS]
    text = io.StringIO()
    show_external_test(
        found.replace(dict(zip(LABELS, long, strict=True))), 120, long, Console(file=text, width=60)
    )
    assert "…" not in text.getvalue()
    assert text.getvalue().count("]") == 2 * len(found.query("label == ''")) + 4 * len(LABELS)

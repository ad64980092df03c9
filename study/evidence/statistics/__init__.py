"""How sure we are: intervals over patients and seeds, comparisons, verdicts, calibration, selection, importance, budgets."""

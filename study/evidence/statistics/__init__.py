"""How certain a number is: intervals, comparisons, verdicts, calibration, selection and the like."""

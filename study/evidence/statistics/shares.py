"""What tables of importance share; apart from `importance`, which loads Optuna."""

COLUMNS = ["parameter", "importance", "low", "high", "noise", "above_noise"]
MIN_TRIALS = 10  # with fewer, the best tenth is no whole trial
NOISE_LEVEL = 0.95

"""Losses compare an `Output` with targets; `models.contracts.Loss` is the contract."""

"""Fusions turn the maps of all views into one vector.

`models.contracts.Fusion` is the contract, `models.contracts.LateFusion` that of fusions of decisions.
"""

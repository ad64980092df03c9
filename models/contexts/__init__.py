"""Contexts widen the field of view of a map; `models.contracts.Context` is the contract.

All of them halve the number of channels, so that a study compares like with like, except for `none`, which
keeps it, and for those that concatenate two maps, which double it.
"""

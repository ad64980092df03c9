"""Generators make images of one class from noise; `models.contracts.Generator` is the contract.

A study trains one generator for each class, on the training split only.
"""

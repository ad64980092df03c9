"""Heads turn the embedding into logits, and logits into probabilities.

`models.contracts.Head` is the contract.
"""

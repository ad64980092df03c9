"""Attentions weigh the positions or channels of a map and keep its shape.

`models.contracts.Attention` is the contract.
"""

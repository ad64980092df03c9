"""Attentions reweigh a map and keep its shape.

Contract: `Attention(channels, *, ...)`; `forward("b c h w") -> "b c h w"`. An attention that needs more than one map says
so: with `binocular` it gets both eyes, "b v c h w"; with `image_flips` it gets the maps of the image, of its left-right
flip and of its upside-down flip.
"""

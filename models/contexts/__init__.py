"""Contexts widen the field of view of a map.

Contract: `Context(channels, *, ...)`, attribute `out_channels`; `forward("b c h w") -> "b c2 h w"` for any h, w >= 1. All but
`none` and those that lay maps side by side give half the channels, so that they can be exchanged fairly. `binocular` and
`image_flips` mean the same as for attentions.
"""

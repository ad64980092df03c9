"""Fusions turn the maps of all views into one vector.

Contract: `Fusion(channels, num_views, *, ...)`, attributes `out_features` and `symmetric` (swapping the eyes changes nothing);
`forward(maps "b v c h w", pool) -> "b d"`, where `pool` turns a map into a vector and averages by default. A fusion that
compares two eyes raises ValueError when it is built for another number of views. With the attribute `late` a fusion joins
logits instead: `combine("b v m") -> "b m"`.
"""

"""What came out: the Parquet store, metrics, post-hoc heads, scores and statistics.

Shape letters of the arrays: n samples, l labels, b bootstrap resamples, d numbers of an embedding, q queries,
r references, k neighbours, g groups of equal scores.
"""

"""Illumination corrections change the light of an image after the crop and the resize, before the cache.

Contract: `Illumination(*, ...)`; called with "h w 3" in 8 bits, it gives the same shape in 8 bits. The same
image gives the same result, whatever was corrected before.
"""

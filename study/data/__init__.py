"""Pairs of eye images: read, split by patient, preprocessed once, cached, augmented and handed out in batches."""

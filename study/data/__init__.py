"""Pairs of eye images: read, split by patient, preprocessed, cached, augmented and put into batches."""

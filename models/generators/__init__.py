"""Generators make images of a class from noise; a study trains one per class on the training split only."""

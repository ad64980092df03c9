"""Finished networks in use: their predictions for new samples, and maps that show where they look."""

"""Finished networks at work: predictions for new samples, and the maps that show where a network looks. It
reads runs and trains nothing.
"""

"""What a study will take in hours, memory and disk, found from short probes of each kind of trial, and how
many trials a set of nodes holds.
"""

"""Everything between a checked study file and its first trial: whether the run folder is this study's, the
data and their split, where the code stands, and the class prior.
"""

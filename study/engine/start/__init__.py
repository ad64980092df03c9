"""From a checked study file to its first trial.

The run folder must be this study's; the data, their split, the parts of the networks and the weights must be
there; the code is noted, and the class prior is scored.
"""

"""The study platform, in the order in which data walks.

What is asked (spec), the pairs (data), what came out (evidence), how it runs (engine), what is shown
(reporting), and the commands.
"""

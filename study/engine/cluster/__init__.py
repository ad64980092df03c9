"""Ray, and nothing outside of this room imports it: the connection, the nodes, the search that Ray Tune
drives and the trials that Ray Train runs.
"""

"""Orders of trials as plain data that travels to any worker, which of them are unfinished, who drives the
run, and how a finished trial is published. It knows no network and no search.
"""

"""What to try next and what became of it: Optuna's suggestions, the stopping rules, the plan of all
orders, and the conductor that turns events into records. It knows no Ray.
"""

"""One trial from its specification to its record: network and loss are built and checked, trained epoch by
epoch, scored and published. It knows torch, but neither Optuna nor Ray.
"""

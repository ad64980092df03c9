"""How it runs: one training, one trial, the search and the cluster."""

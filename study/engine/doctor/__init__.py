"""What usually goes wrong on a machine, in a study, in a cluster file or on its nodes, with the remedies."""

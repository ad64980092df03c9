"""Ray, which no other room imports: connection, nodes, the search by Ray Tune, the trials by Ray Train."""

"""What usually goes wrong on a machine, in a study, in a cluster file and on the nodes of a cluster; each
is one finding with its remedy.
"""

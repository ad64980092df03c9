"""Siamese networks for pairs of eye images, in plain torch.

Shape letters, the same in every signature:

    b  samples in a batch        v  views of a sample: 2 for a pair (0 = the patient's left eye, 1 = right), 1 for one image
    c  channels                  h w  height and width of a map
    d e  features of a vector    l  labels      m  columns of logits (labels, or label sets)
    n  tokens or items           k  neighbours

Contract. A backbone turns images into maps; a context module widens the field of view of one map; an attention
reweighs one map; a pooling turns a map into a vector; a fusion turns the maps of all views into one vector; a head
turns that vector into logits; a loss compares an `Output` with targets. Positional constructor arguments are wired by
the platform, keyword-only ones are what a study file sets. No component sees another sample of the batch while
evaluating.
"""

"""Siamese networks for pairs of eye images, in plain torch.

Shape letters, the same in every signature:

    b    samples in a batch
    v    views of a sample: 2 for a pair (0 = left eye of the patient, 1 = right eye), 1 for one image
    c    channels                     h w  height and width of a map
    d e  features of a vector         l    labels
    n    images, tokens or items      m    columns of logits (labels, or label sets)
    k    neighbours

What each kind of component does and offers stands in `models.contracts`. No component sees another sample of
the batch in evaluation mode.
"""

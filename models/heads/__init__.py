"""Heads turn the embedding into logits, and logits into probabilities.

Contract: `Head(in_features, num_labels, *, ...)`; `forward("b d") -> logits "b m"`; `scores(logits) -> "b l"`;
`encode(targets "b l") -> "b m"`, the targets that a loss compares with the logits. `exclusive` says whether these carry
exactly one 1 each (a loss whose `exclusive` is not None must agree), `multilabel_data` whether samples may carry several labels.
`soft_targets = False` stands in a head whose `encode` cannot take labels between 0 and 1.
A head with the attribute `wants_label_sets` is given a third argument, the distinct label rows of the training split, and keeps
them in its buffer `sets`.
"""

"""Losses compare an `Output` with targets.

Contract: `Loss(prevalence "l", *, ...)`, the share of training samples that carry each label (as the head encodes them);
`forward(output, targets "b l") -> scalar`. `trains_head` is False for losses that see the embedding only. `exclusive` is True
for losses that need one 1 per row of targets, False for those that decide label by label, None for both. `soft_targets = True`
stands in losses that are linear in their targets, so that mixed labels give the mix of the labels' losses.
"""

"""What a network costs to use."""

from copy import deepcopy

import torch
from torch.utils.flop_counter import FlopCounterMode

from models.siamese import SiameseNet


def multiply_adds(net: SiameseNet, num_views: int, image_px: int) -> int:
    """Multiplications with addition for one sample: those of convolutions and matrix products, half of their operations.

    Args:
        net: the network; it is left as it is.
        num_views: images of a sample.
        image_px: side of an image.
    """
    bare = deepcopy(net).to("meta").eval()  # counts without computing
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        bare(torch.empty(1, num_views, 3, image_px, image_px, device="meta"))
    return int(counter.get_total_flops() // 2)

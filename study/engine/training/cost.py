"""What a network costs to use."""

from copy import deepcopy

import torch
from torch.utils.flop_counter import FlopCounterMode

from models.siamese import SiameseNet


def multiply_adds(net: SiameseNet, num_views: int, image_px: int) -> int:
    """Multiplications with an addition that one sample takes, in convolutions and matrix products alone.

    Args:
        net: The network; it is left as it is.
        num_views: Images of a sample.
        image_px: Side of an image in pixels.
    """
    shapes = deepcopy(net).to("meta").eval()  # has no numbers, so that nothing is computed
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shapes(torch.empty(1, num_views, 3, image_px, image_px, device="meta"))
    return int(counter.get_total_flops() // 2)  # an addition and a multiplication count as two operations

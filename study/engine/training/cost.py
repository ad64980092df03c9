"""What a network costs to use."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from models.siamese import SiameseNet
from study.engine.training.network import without_numbers
from study.spec.trial_spec import TrialSpec

# The process of a trial meets the same model again with other rates, and to count takes a tenth of a second.
_COUNTED: dict[object, int] = {}


def multiply_adds_once(spec: TrialSpec, net: SiameseNet, num_views: int) -> int:
    """`multiply_adds` of a trial's network, counted only once in this process for trials of the same model.

    Args:
        spec: The trial.
        net: Its network; it is left as it is.
        num_views: Images of a sample.
    """
    shapes = tuple((name, tensor.shape) for name, tensor in net.state_dict().items())
    image_px = spec.data.image_px
    key = spec.model.model_dump_json(), num_views, image_px, shapes
    if key not in _COUNTED:
        _COUNTED[key] = multiply_adds(net, num_views, image_px)
    return _COUNTED[key]


def multiply_adds(net: SiameseNet, num_views: int, image_px: int) -> int:
    """Multiplications with an addition that one sample takes, in convolutions and matrix products alone.

    Args:
        net: The network; it is left as it is.
        num_views: Images of a sample.
        image_px: Side of an image in pixels.
    """
    shapes = without_numbers(net)  # nothing is computed
    images = torch.empty(1, num_views, 3, image_px, image_px, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shapes(images)
    return int(counter.get_total_flops() // 2)  # an addition and a multiplication count as two operations

"""What the gates have in common: the width of their hidden layer."""


def reduced(channels: int, reduction: int) -> int:
    """max(1, channels / reduction), rounded down.

    Raises:
        ValueError: reduction below 1.
    """
    if reduction < 1:
        raise ValueError(
            f"`attention.reduction`: must be at least 1, got {reduction}. Papers use 16; 4 and 8 are common."
        )
    return max(1, channels // reduction)

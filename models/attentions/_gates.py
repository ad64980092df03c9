"""The width of a gate's hidden layer."""


def reduced(channels: int, reduction: int) -> int:
    """max(1, channels / reduction), rounded down.

    Raises:
        ValueError: The reduction is below 1.
    """
    if reduction < 1:
        raise ValueError(
            f"`attention.reduction`: must be at least 1, got {reduction}. Papers use 16; 4 and 8 are common."
        )
    return max(1, channels // reduction)

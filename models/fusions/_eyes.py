"""The rule for fusions that compare two eyes."""


def require_pair(fusion: str, num_views: int) -> None:
    """Passes where there are two views.

    Raises:
        ValueError: There is another number of views.
    """
    if num_views != 2:
        raise ValueError(
            f"`fusion`: {fusion} needs both eyes, got {num_views} view(s). "
            "Use concat, sum, max, gated or late."
        )

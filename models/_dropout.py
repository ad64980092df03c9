"""The range of a dropout rate."""


def check_dropout(dropout: float) -> float:
    """The rate itself.

    Raises:
        ValueError: The rate lies outside [0, 1).
    """
    if not 0 <= dropout < 1:
        raise ValueError(
            f"`dropout`: must be at least 0 and below 1, got {dropout}. Common values are 0 to 0.5."
        )
    return dropout

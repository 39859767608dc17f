def run(address: str, limit: int = 3) -> list[str]:
    """Everything that the standards ask for.

    Args:
        address: Where.
        limit: How many.

    Returns:
        What was found.
    """
    try:
        return [address] * limit
    except ValueError:
        return []

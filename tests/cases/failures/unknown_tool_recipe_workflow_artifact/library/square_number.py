async def run(number: int) -> int:
    """The square of a number."""
    return number * number

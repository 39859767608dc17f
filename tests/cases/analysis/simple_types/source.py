def run(text: str, count: int, ratio: float, flag: bool, nothing: None, anything) -> str:
    """Do it."""
    return text

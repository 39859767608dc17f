def run(number: int) -> int:
    raise ValueError(f"{number} is not enough")

LIMIT = 10

def run(a: int = 1, b: str = "x", c: list[int] = [1, 2], d: dict = {}, e: float = -1.5, f: int = LIMIT, g: int | None = None, *, h: bool = True):
    pass

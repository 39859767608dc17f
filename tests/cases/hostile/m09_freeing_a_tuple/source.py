def run(n: int):
    nested = None
    for _ in range(n):
        nested = (nested,)
    del nested
    return "ok"

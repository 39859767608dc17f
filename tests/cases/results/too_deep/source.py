def run(n: int):
    nested = 1
    for _ in range(n):
        nested = [nested]
    return nested

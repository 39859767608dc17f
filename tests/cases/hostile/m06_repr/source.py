def run(n: int):
    nested = []
    for _ in range(n):
        nested = [nested]
    return len(repr(nested))

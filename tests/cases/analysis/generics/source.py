from collections.abc import Iterable, Sequence

def run(a: list[int], b: dict[str, list[float]], c: tuple[int, str], d: tuple[int, ...], e: set[str], f: list, g: dict, h: Sequence[str]) -> dict[str, int]:
    return {}

import dataclasses
@dataclasses.dataclass
class Point:
    x: int


def run():
    return Point(1)

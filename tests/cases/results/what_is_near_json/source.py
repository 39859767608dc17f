import collections, enum

class Level(enum.IntEnum):
    LOW = 1

class Name(str):
    pass

Point = collections.namedtuple("Point", "x y")

def run():
    return {"tuple": (1, 2), "named": Point(1, 2), "int": Level.LOW, "str": Name("a"), "dict": collections.OrderedDict(b=1, a=2),
            "counter": collections.Counter("aab"), "default": collections.defaultdict(int, x=1)}

import array, bisect, collections, contextlib, copy, enum, functools, graphlib, heapq, itertools, queue, types, weakref

class Color(enum.Enum):
    RED = 1

def run():
    heap = [5, 1, 4]
    heapq.heapify(heap)
    line = queue.Queue()
    line.put(1)
    nested = {"a": [1]}
    deep = copy.deepcopy(nested)
    deep["a"].append(2)
    with contextlib.suppress(ValueError):
        int("x")

    @functools.lru_cache
    def fibonacci(n):
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    class Thing:
        pass

    thing = Thing()
    return {
        "counter": collections.Counter("abracadabra").most_common(2),
        "deque": list(collections.deque([1, 2, 3], maxlen=2)),
        "default": dict(collections.defaultdict(list, a=[1])),
        "heap": heapq.heappop(heap),
        "bisect": bisect.bisect([1, 3, 5], 4),
        "itertools": ["".join(pair) for pair in itertools.combinations("abc", 2)],
        "batched": [list(part) for part in itertools.batched(range(5), 2)],
        "fibonacci": fibonacci(80),
        "partial": functools.partial(pow, 2)(10),
        "graph": list(graphlib.TopologicalSorter({"c": {"b"}, "b": {"a"}}).static_order()),
        "enum": [Color.RED.name, Color(1).value],
        "queue": line.get(),
        "copy": [nested, deep],
        "array": array.array("i", [1, 2]).tobytes().hex(),
        "namespace": types.SimpleNamespace(a=1).a,
        "weakref": weakref.ref(thing)() is thing,
    }

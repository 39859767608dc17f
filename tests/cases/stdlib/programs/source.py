import argparse, ast, dataclasses, dis, inspect, io, keyword, logging, timeit, tokenize, traceback, typing, unittest, warnings

@dataclasses.dataclass(order=True, frozen=True)
class Point:
    x: int
    y: int = 0

class Addition(unittest.TestCase):
    def test_sum(self):
        self.assertEqual(1 + 1, 2)

    def test_wrong(self):
        self.assertEqual(1 + 1, 3)

def run():
    parser = argparse.ArgumentParser(prog="case", exit_on_error=False)
    parser.add_argument("--count", type=int, default=1)
    stream = io.StringIO()
    logger = logging.getLogger("case")
    logger.addHandler(logging.StreamHandler(stream))
    logger.warning("careful: %s", 1)
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(Addition)
    result = unittest.TextTestRunner(stream=io.StringIO()).run(suite)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn("old")
    return {
        "dataclass": [dataclasses.asdict(Point(1)), Point(1) < Point(2), dataclasses.astuple(dataclasses.replace(Point(1), y=5))],
        "argparse": parser.parse_args(["--count", "3"]).count,
        "ast": [type(node).__name__ for node in ast.parse("x = 1\ndef f(): ...").body],
        "literal": ast.literal_eval("{'a': [1, (2, 3)]}")["a"][0],
        "inspect": str(inspect.signature(lambda a, *, b=1: None)),
        "logging": stream.getvalue(),
        "unittest": [result.testsRun, len(result.failures), len(result.errors)],
        "warnings": str(caught[0].message),
        "typing": typing.get_type_hints(Point)["x"].__name__,
        "keyword": keyword.iskeyword("class"),
        "dis": len(list(dis.get_instructions(compile("a + 1", "x", "eval")))) > 2,
        "tokenize": len(list(tokenize.generate_tokens(io.StringIO("a = 1").readline))) > 3,
        "timeit": timeit.timeit("1", number=1) >= 0,
        "traceback": traceback.format_exception_only(ValueError("x")),
    }

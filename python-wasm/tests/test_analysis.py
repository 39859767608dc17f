"""What a source says about itself. Runs on any Python from 3.11 on, without the component."""

import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "guest"))

from repertoire_guest.analysis import InvalidSource, analyze  # noqa: E402


def schema(hint, preamble=""):
    return analyze(f"{preamble}\ndef run(value: {hint}): pass").parameters[0].schema


class Entry(unittest.TestCase):
    def refused(self, source):
        with self.assertRaises(InvalidSource) as caught:
            analyze(source)
        return str(caught.exception)

    def test_sync_and_async(self):
        self.assertFalse(analyze("def run(): pass").is_async)
        self.assertTrue(analyze("async def run(): pass").is_async)

    def test_run_below_if_and_try(self):
        analyze("try:\n    import x\nexcept ImportError:\n    def run(): pass")
        analyze("if True:\n    def run(): pass")

    def test_what_is_no_workflow(self):
        self.assertIn("has no function `run`", self.refused("x = 1"))
        self.assertIn("has no function `run`", self.refused("class A:\n    def run(self): pass"))
        self.assertIn("line 1: `run` is not a function", self.refused("run = 3"))
        self.assertIn("not a function", self.refused("from x import run"))
        self.assertIn("not a function", self.refused("class run: pass"))
        self.assertIn("line 2: `run` is a generator", self.refused("\ndef run():\n    yield 1"))
        self.assertIn("positional-only", self.refused("def run(a, /): pass"))
        self.assertIn("null byte", self.refused("def run(): pass\n\0"))
        self.assertIn("longer than", self.refused("#" * 2**20 + "\n"))

    def test_syntax_errors_show_the_line(self):
        text = self.refused("def run():\n    return 1 +\n")
        self.assertIn("line 2", text)
        self.assertIn("    return 1 +\n", text)
        self.assertTrue(text.endswith("^"))
        self.assertIn("outside function", self.refused("return 3"))

    def test_generator_inside_is_fine(self):
        analyze("def run():\n    def inner():\n        yield 1\n    return list(inner())")

    def test_too_deep(self):
        self.refused("x = " + "(" * 5000 + "1" + ")" * 5000 + "\ndef run(): pass")

    def test_it_runs_nothing(self):
        analyze("1 / 0\nwhile True: pass\ndef run(x: (1 / 0) = 1 / 0): pass")

    def test_signature(self):
        cases = [
            "(url: str, timeout: int = 30) -> dict",
            "(a, b=1, /, *args, c: str = 'x', **rest: int)",
            "(*, key: str | None = None) -> list[dict[str, int]]",
            "()",
        ]
        for text in cases:
            source = f"def run{text}: pass" if "a, b" not in text else None
            if source:
                self.assertEqual(analyze(source).signature, text)

    def test_parameters(self):
        found = analyze("def run(a: int, b: str = 'x', *more, c: dict = None, **rest): pass")
        self.assertEqual([p.name for p in found.parameters], ["a", "b", "c"])
        self.assertEqual([p.required for p in found.parameters], [True, False, False])
        self.assertEqual([p.default for p in found.parameters], [None, '"x"', "null"])
        self.assertTrue(found.accepts_unknown)

    def test_defaults_that_json_cannot_say(self):
        found = analyze("def run(a=(1, 2), b={1: 2}, c=float('nan'), d=-1, e=b'x'): pass")
        self.assertEqual([p.default for p in found.parameters], ["[1,2]", None, None, "-1", None])


class Schemas(unittest.TestCase):
    def test_simple_hints(self):
        for hint, kind in [("str", "string"), ("int", "integer"), ("float", "number"), ("bool", "boolean"), ("dict", "object"), ("list", "array")]:
            self.assertEqual(schema(hint), {"type": kind})
        for hint in ("Any", "object", "Unknown", "datetime.date", "1 + 2", "'not valid('"):
            self.assertEqual(schema(hint), {})

    def test_unions(self):
        self.assertEqual(schema("str | None"), {"type": ["string", "null"]})
        self.assertEqual(schema("Optional[str]"), {"type": ["string", "null"]})
        self.assertEqual(schema("typing.Union[int, str, None]"), {"type": ["integer", "string", "null"]})
        self.assertEqual(schema("str | Unknown"), {})
        self.assertEqual(schema("list[str] | None"), {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]})

    def test_generics(self):
        self.assertEqual(schema("list[int]"), {"type": "array", "items": {"type": "integer"}})
        self.assertEqual(schema("dict[str, float]"), {"type": "object", "additionalProperties": {"type": "number"}})
        self.assertEqual(schema("Sequence[str]"), {"type": "array", "items": {"type": "string"}})
        self.assertEqual(schema("tuple[int, ...]"), {"type": "array", "items": {"type": "integer"}})
        self.assertEqual(
            schema("tuple[int, str]"),
            {"type": "array", "minItems": 2, "maxItems": 2, "prefixItems": [{"type": "integer"}, {"type": "string"}]},
        )
        self.assertEqual(schema("Literal['a', 1, None]"), {"enum": ["a", 1, None]})
        self.assertEqual(schema("Annotated[str, 'a name']"), {"type": "string", "description": "a name"})
        self.assertEqual(schema("'list[int]'"), {"type": "array", "items": {"type": "integer"}})

    def test_default_none_allows_null(self):
        found = analyze("def run(headers: dict = None): pass")
        self.assertEqual(found.parameters[0].schema, {"type": ["object", "null"]})

    def test_typed_dict(self):
        found = schema("P", "class P(TypedDict):\n    a: int\n    b: NotRequired[str]")
        self.assertEqual(found["$ref"], "#/$defs/P")
        self.assertEqual(
            found["$defs"]["P"],
            {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "required": ["a"]},
        )
        found = schema("P", "class P(TypedDict, total=False):\n    a: int\n    b: Required[str]")
        self.assertEqual(found["$defs"]["P"]["required"], ["b"])

    def test_dataclass(self):
        found = schema("list[P]", "@dataclass(frozen=True)\nclass P:\n    a: int\n    b: str = ''\n    c: list = field(default_factory=list)")
        self.assertEqual(found["items"], {"$ref": "#/$defs/P"})
        self.assertEqual(found["$defs"]["P"]["required"], ["a"])
        self.assertFalse(found["$defs"]["P"]["additionalProperties"])

    def test_recursion(self):
        found = schema("Node", "class Node(TypedDict):\n    children: list['Node']")
        self.assertEqual(found["$defs"]["Node"]["properties"]["children"]["items"], {"$ref": "#/$defs/Node"})
        self.assertEqual(schema("A", "A = list['A']"), {"type": "array"})

    def test_aliases_and_enumerations(self):
        self.assertEqual(schema("Url", "Url = str"), {"type": "string"})
        self.assertEqual(schema("Id", "Id = NewType('Id', int)"), {"type": "integer"})
        self.assertEqual(schema("Color", "class Color(Enum):\n    RED = 'red'\n    BLUE = 'blue'"), {"enum": ["red", "blue"]})

    def test_every_schema_is_json(self):
        found = analyze("def run(a: Literal['x'] = 'x') -> dict[str, list[int]]: pass")
        json.dumps([found.returns, *(p.schema for p in found.parameters)])


class Docstrings(unittest.TestCase):
    def test_google(self):
        found = analyze(
            'def run(url: str, headers: dict = None) -> dict:\n    """Fetch JSON data from a URL.\n\n    Args:\n'
            "        url: The URL to fetch,\n            whole\n        headers (dict): Optional HTTP headers\n\n    Returns:\n"
            '        Parsed JSON response\n\n    Raises:\n        RuntimeError: If request fails\n    """'
        )
        self.assertEqual([p.description for p in found.parameters], ["The URL to fetch, whole", "Optional HTTP headers"])
        self.assertEqual(found.returns_description, "Parsed JSON response")
        self.assertEqual(found.raises, [("RuntimeError", "If request fails")])
        self.assertEqual(found.description, "Fetch JSON data from a URL.")

    def test_numpy(self):
        found = analyze(
            'def run(a, b):\n    """Adds.\n\n    Parameters\n    ----------\n    a : int\n        The first\n    b\n        The second\n\n'
            '    Returns\n    -------\n    int\n        The sum\n    """'
        )
        self.assertEqual([p.description for p in found.parameters], ["The first", "The second"])
        self.assertEqual(found.returns_description, "The sum")

    def test_sphinx(self):
        found = analyze('def run(a):\n    """Adds.\n\n    :param int a: The first\n    :returns: The sum\n    :raises ValueError: Never\n    """')
        self.assertEqual(found.parameters[0].description, "The first")
        self.assertEqual(found.returns_description, "The sum")
        self.assertEqual(found.raises, [("ValueError", "Never")])

    def test_the_module_describes_first(self):
        self.assertEqual(analyze('"""The module\nsays."""\ndef run():\n    """Runs."""').description, "The module says.")
        self.assertEqual(analyze('def run():\n    """Runs.\n\n    More.\n    """').description, "Runs.")


class Uses(unittest.TestCase):
    def test_names(self):
        found = analyze(
            "def run():\n    tools.curl.get(url='x').strip()\n    tools.curl()\n    tools.a.b.call_async()\n    tools.c.call_async\n"
            "    getattr(tools, 'd')()\n    tools['e'].f()\n    tools.list(); tools.search('x'); tools.g.list()\n"
            "    workflows.invoke('one', a=1); workflows.invoke_async('two'); workflows.three(a=1); workflows.get('four')\n"
            "    workflows.pinned.five(); workflows.pinned.invoke('six'); workflows.history('seven'); workflows.pinned\n"
            "    workflows.invoke(name)\n    artifacts.save('x', 1); artifacts.load(name='y'); artifacts.list()"
        ).uses
        self.assertEqual(found.tools, ["a.b", "c", "curl", "curl.get", "d", "e.f", "g"])
        self.assertEqual(found.workflows, ["five", "one", "six", "three", "two"])
        self.assertEqual(found.artifacts, ["x", "y"])


class Standards(unittest.TestCase):
    def codes(self, source):
        return [(warning.code, warning.line) for warning in analyze(source).warnings]

    def test_the_good_one_has_none(self):
        self.assertEqual(self.codes('def run(owner: str, repo: str) -> dict:\n    """Gets."""\n    return {}'), [])

    def test_each_departure(self):
        self.assertEqual(self.codes('def run(url) -> str:\n    """Gets."""'), [("missing-type-hint", 1)])
        self.assertEqual(self.codes('def run(url: str):\n    """Gets."""'), [("missing-type-hint", 1)])
        self.assertEqual(self.codes("def run() -> None: pass"), [("missing-docstring", 1)])
        self.assertEqual(self.codes('"""Gets."""\ndef run() -> None: pass'), [])
        self.assertEqual(
            self.codes('def run(repo_url: str,\n        incl_contrib: bool = False) -> dict:\n    """Gets."""'),
            [("abbreviated-name", 1), ("abbreviated-name", 2)],
        )
        silent = 'def run() -> dict:\n    """Gets."""\n    try:\n        pass\n    except:\n        {}'
        self.assertEqual(self.codes(silent.format("return {}")), [("bare-except", 5)])
        self.assertEqual(self.codes(silent.format("raise")), [])


if __name__ == "__main__":
    unittest.main()

"""Values to JSON text, exactly or not at all. Runs on any Python from 3.11 on, without the component."""

import collections
import dataclasses
import datetime
import enum
import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "guest"))

from repertoire_guest.jsontext import NotJson, decode, encode  # noqa: E402


class Color(enum.Enum):
    RED = 1


class Name(enum.StrEnum):
    X = "x"


@dataclasses.dataclass
class Point:
    x: int


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


class Encode(unittest.TestCase):
    def test_everything_json_can_say(self):
        for value in (None, True, 1, -0.0, 1.5, "", "é\U0001f600\u2028\n", [], {}, [1, [2]], {"a": {"b": [None]}}, 2**200):
            self.assertEqual(decode(encode(value, "result")), value)
            self.assertEqual(json.loads(encode(value, "result")), value)

    def test_integers_of_any_length(self):
        for value in (10**5000, -(10**9000)):
            self.assertEqual(decode(encode([value], "result")), [value])
        self.assertEqual(sys.get_int_max_str_digits(), 4300)

    def test_tuples_and_subclasses(self):
        pair = collections.namedtuple("pair", "a b")(1, 2)
        self.assertEqual(encode((1, (2, pair)), "result"), "[1,[2,[1,2]]]")
        self.assertEqual(encode(collections.OrderedDict(a=collections.Counter("x")), "result"), '{"a":{"x":1}}')
        self.assertEqual(encode([Name.X, {Name.X: 1}], "result"), '["x",{"x":1}]')

    def refused(self, value):
        with self.assertRaises(NotJson) as caught:
            encode(value, "result")
        return str(caught.exception)

    def test_refusals_name_path_and_type(self):
        today = datetime.datetime.now()
        self.assertEqual(self.refused({"rows": [1, 2, 3, today]}), 'result["rows"][3]: datetime is not JSON; use .isoformat()')
        self.assertIn("result[0]: nan is not JSON", self.refused([float("nan")]))
        self.assertIn("result: -inf is not JSON", self.refused(float("-inf")))
        self.assertIn('result["a"][1]: a key of type int', self.refused({"a": {1: 2}}))
        self.assertIn("a key of type NoneType", self.refused({None: 2}))
        self.assertIn("dataclasses.asdict()", self.refused(Point(1)))
        self.assertIn(".value", self.refused(Color.RED))
        self.assertIn("sorted() or list()", self.refused({1}))
        self.assertIn("artifacts.save", self.refused(b"x"))
        self.assertIn("forgotten", self.refused(print))
        self.assertIn("the class Point", self.refused(Point))

    def test_depth(self):
        encode(nested(128), "result")
        self.assertIn("deeper than 128", self.refused(nested(129)))
        self.assertIn("deeper than 128", self.refused(nested(50_000)))

    def test_circles(self):
        circle = []
        circle.append({"a": circle})
        self.assertIn("circular", self.refused(circle))

    def test_half_surrogate_pairs(self):
        for value in ("\ud800", ["\udfff"], {"\ud800": 1}, {"a": "x\ud800"}):
            text = self.refused(value)
            self.assertIn("surrogate", text)
            text.encode()

    def test_it_is_not_fooled_by_a_rewritten_json(self):
        original = json.dumps
        json.dumps = lambda *_args, **_options: "forged"
        try:
            self.assertEqual(encode(1, "result"), "1")
        finally:
            json.dumps = original


class Decode(unittest.TestCase):
    def test_white_space_and_long_integers(self):
        self.assertEqual(decode(" \n[1]"), [1])
        self.assertEqual(decode("1" * 5000), decode("[" + "1" * 5000 + "]")[0])


if __name__ == "__main__":
    unittest.main()

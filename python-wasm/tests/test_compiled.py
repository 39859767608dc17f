"""What the host keeps of a compiled source is believed only if it fits. Runs on any Python from 3.11 on, without the component."""

import marshal
import sys
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "guest"))

_CONTRACT = ["componentize_py_types", "wit_world", "wit_world.exports", "wit_world.exports.guest", "wit_world.imports", "wit_world.imports.types"]
with mock.patch.dict(sys.modules, {name: mock.MagicMock() for name in _CONTRACT}):
    from repertoire_guest import compiled

SOURCE = "def run():\n    return 1\n"
OTHER = "def run():\n    return 2\n"
FILE = compiled.filename("one")


def value(code):
    namespace = {}
    exec(code, namespace)
    return namespace["run"]()


class Compiled(unittest.TestCase):
    def setUp(self):
        self.stored = compiled.export("one", SOURCE)

    def compilations(self, stored, source=SOURCE, file=FILE):
        with mock.patch.object(compiled, "compile_source", wraps=compiled.compile_source) as compilation:
            code = compiled.load(file, source, stored)
        self.assertEqual(value(code), 1 if source is SOURCE else 2)
        self.assertEqual(code.co_filename, file)
        return compilation.call_count

    def test_what_fits_is_not_compiled_again(self):
        self.assertEqual(self.compilations(self.stored), 0)

    def test_none_is_compiled(self):
        self.assertEqual(self.compilations(None), 1)

    def test_another_source_or_name_is_compiled(self):
        self.assertEqual(self.compilations(self.stored, source=OTHER), 1)
        self.assertEqual(self.compilations(self.stored, file=compiled.filename("two")), 1)

    def test_another_python_is_compiled(self):
        stale = self.stored.replace(compiled.MAGIC_NUMBER, b"\0\0\r\n", 1)
        self.assertEqual(self.compilations(stale), 1)

    def test_damage_is_compiled(self):
        head = self.stored[: compiled._SIZE]
        for stored in (b"", b"nonsense", head, self.stored[:-9], head + b"\xff" * 40, head + marshal.dumps([1]), head + marshal.dumps(None)):
            with self.subTest(stored=stored[:60]):
                self.assertEqual(self.compilations(stored), 1)


if __name__ == "__main__":
    unittest.main()

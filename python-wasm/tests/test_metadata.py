"""Inline script metadata, as PEP 723 has it."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "guest"))

from repertoire_guest.analysis import InvalidSource  # noqa: E402
from repertoire_guest.analysis.metadata import Requirements, _fits, read  # noqa: E402


def block(*lines, kind="script"):
    return "\n".join([f"# /// {kind}", *lines, "# ///", "def run(): pass", ""])


class Metadata(unittest.TestCase):
    def test_what_a_source_requires(self):
        for source, expected in {
            "def run(): pass\n": Requirements(),
            block('# dependencies = ["Ruamel.YAML >=0.18, <1", "x[extra]", "y (==1.0)"]'): Requirements(
                None, [("ruamel-yaml", ">=0.18, <1"), ("x", ""), ("y", "==1.0")]
            ),
            block("#", "# [tool.repertoire]", '# runtime = "reports"', "# [tool.other]", "# key = 1"): Requirements("reports"),
            block("# not toml", kind="other"): Requirements(),
            block("not a comment"): Requirements(),
            block('# requires-python = ">=3.8, !=3.9.*"'): Requirements(),
            "# /// script\n# dependencies = []\n": Requirements(),
        }.items():
            with self.subTest(source):
                self.assertEqual(read(source), expected)

    def test_what_cannot_be_read_is_refused(self):
        for lines in [
            ["# dependencies = 1"], ["# dependencies = [1]"], ['# dependencies = ["-r x"]'], ['# dependencies = ["a @ https://x"]'],
            ['# dependencies = ["a; os_name"]'], ['# dependencies = ["a >= "]'], ['# dependencies = ["a b"]'], ['# requires-python = "<3"'],
            ['# requires-python = "three"'], ["# requires-python = 3"], ["# ]"], ["# [tool.repertoire]", "# run = 1"],
            ["# [tool]", "# repertoire = 1"], ["# [tool.repertoire]", "# runtime = 1"], ["# dependencies = [" + '"a",' * 101 + "]"],
        ]:  # fmt: skip
            with self.subTest(lines), self.assertRaises(InvalidSource):
                read(block(*lines))
        with self.assertRaises(InvalidSource):
            read(block("# dependencies = []") * 2)

    def test_versions_of_python(self):
        for operator, wanted, is_prefix, fits in [
            (">=", (3, 14), False, True), (">", (3, 14), False, True), (">", (3, 14, 2), False, False), ("<", (4,), False, True),
            ("<=", (3, 13), False, False), ("==", (3, 14), True, True), ("==", (3, 14), False, False), ("!=", (3, 14), True, False),
            ("~=", (3, 11), False, True), ("~=", (3, 13, 0), False, False), ("~=", (2, 7), False, False),
        ]:  # fmt: skip
            with self.subTest((operator, wanted)):
                self.assertEqual(_fits((3, 14, 2), operator, wanted, is_prefix), fits)


if __name__ == "__main__":
    unittest.main()

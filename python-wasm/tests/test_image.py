"""What is taken of a wheel, and what is refused. No network, and no component."""

import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import build
import image


class Wheels(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = Path(scratch.name)

    def unpack(self, *files, name="thing-1.0-cp314-cp314-manylinux_2_17_x86_64.whl"):
        wheel = self.scratch / name
        with zipfile.ZipFile(wheel, "w") as archive:
            for file in files:
                archive.writestr(file, "x = 1\n")
        return image.unpack(wheel, self.scratch / "packages")

    def refused(self, *files):
        with self.assertRaises(build.BuildError) as caught:
            self.unpack(*files)
        return str(caught.exception)

    def test_python_is_taken(self):
        found = self.unpack("thing/__init__.py", "thing/data.txt", "other.py", "thing-1.0.dist-info/METADATA", "thing-1.0.data/purelib/third.py")
        self.assertEqual(found["modules"], ["other", "thing", "third"])
        self.assertEqual((found["name"], found["version"], found["left_out"]), ("thing", "1.0", []))
        self.assertTrue((self.scratch / "packages/thing/data.txt").exists())
        self.assertTrue((self.scratch / "packages/third.py").exists())

    def test_what_is_compiled_is_left_out_where_python_does_without(self):
        found = self.unpack("thing/__init__.py", "thing/_fast.cpython-314-x86_64-linux-gnu.so", "thing/md.py", "thing/md.cpython-314-x86_64-linux-gnu.so")
        self.assertEqual(len(found["left_out"]), 2)
        self.assertFalse(list((self.scratch / "packages").rglob("*.so")))

    def test_what_is_compiled_and_public_is_refused(self):
        self.assertIn("needs native code, thing/etree.cpython", self.refused("thing/__init__.py", "thing/etree.cpython-314-x86_64-linux-gnu.so"))
        self.assertIn("needs native code", self.refused("thing/__init__.py", "_thing.cpython-314-x86_64-linux-gnu.so"))
        self.assertIn("needs native code", self.refused("thing/__init__.py", "thing.libs/libx-1.so.4"))

    def test_files_stay_in_their_directory(self):
        self.assertIn("leave its directory", self.refused("../evil.py"))
        self.assertIn("leave its directory", self.refused("/evil.py"))

    def test_modules_of_the_runtime_are_not_replaced(self):
        for name in ("json", "repertoire", "wit_world"):
            with self.assertRaises(build.BuildError):
                image.check_names([self.unpack(f"{name}/__init__.py")])

    def test_what_is_not_pinned_is_refused_before_anything_is_fetched(self):
        for requirement in ("pyyaml", "pyyaml>=6", "--index-url=x", "a==1; python_version<'3'", "../x==1"):
            with self.assertRaises(build.BuildError):
                image.make([requirement], self.scratch)

    def test_the_digest_is_of_what_goes_in(self):
        package = {"name": "a", "version": "1", "sha256": "00"}
        one, two = image.identity({}, [package]), image.identity({}, [{**package, "sha256": "01"}])
        self.assertEqual(one, image.identity({}, [dict(package)]))
        self.assertNotEqual(one, two)


if __name__ == "__main__":
    unittest.main()

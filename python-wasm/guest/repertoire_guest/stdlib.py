"""The standard library without a file system.

Only what is imported while the component is built exists at run time, and importing all of it would
make every instance larger and slower. So the library is compiled at build time and its code objects
are kept, marshalled, in the snapshot: bytes that no instance touches before it imports the module.
"""

import marshal
import os
import sys
from importlib.machinery import ModuleSpec

ROOT = "<python>"
"""The directory that the library seems to lie in, as tracebacks show it."""

_LEFT_OUT = {
    "__pycache__", "ctypes", "curses", "ensurepip", "idlelib", "lib2to3", "pydoc_data",
    "site-packages", "test", "tests", "tkinter", "turtledemo", "venv",
}  # fmt: skip
"""Tests, user interfaces and installers: what cannot work here, or is of no use."""

_modules = {}
"""Name -> (is a package, marshalled code)."""

_tops = set()
"""The first parts of the names of all of the library's own modules."""

_files = {}
"""Path below `ROOT` -> bytes: what packages carry beside their code."""


def capture(directory, package="", *, data=False):
    """Takes all modules below a directory into the snapshot, and their data files too if asked to."""
    for entry in sorted(os.listdir(directory)):
        path = f"{directory}/{entry}"
        name, extension = os.path.splitext(entry)
        if os.path.isdir(path):
            if entry not in _LEFT_OUT and "-" not in entry:
                capture(path, f"{package}{entry}.", data=data)
        elif extension == ".py":
            _capture_module(path, package, name)
        elif data:
            with open(path, "rb") as file:
                _files[f"{package.replace('.', '/')}{entry}"] = file.read()


def _capture_module(path, package, name):
    is_package = name == "__init__"
    full_name = package[:-1] if is_package else package + name
    with open(path, "rb") as file:
        source = file.read()
    try:
        code = compile(source, _origin(full_name, is_package), "exec", dont_inherit=True)
    except SyntaxError:
        return  # a test's bad example
    _modules[full_name] = (is_package, marshal.dumps(code))


def _origin(full_name, is_package):
    path = full_name.replace(".", "/")
    return f"{ROOT}/{path}/__init__.py" if is_package else f"{ROOT}/{path}.py"


class SnapshotImporter:
    """Finds and loads what `capture` took."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        entry = _modules.get(name)
        if entry is None:
            if name.startswith("_sysconfigdata"):  # the build's own settings; sysconfig wants it to exist
                return ModuleSpec(name, _EmptySysconfig)
            return None
        is_package = entry[0]
        spec = ModuleSpec(name, SnapshotImporter, origin=_origin(name, is_package), is_package=is_package)
        spec.has_location = True
        if is_package:
            spec.submodule_search_locations = [f"{ROOT}/{name.replace('.', '/')}"]
        return spec

    @staticmethod
    def create_module(spec):
        return None

    @staticmethod
    def exec_module(module):
        name = module.__spec__.name
        exec(marshal.loads(_modules[name][1]), module.__dict__)
        after = after_import.get(name)
        if after is not None:
            after(module)

    @staticmethod
    def get_code(name):
        return marshal.loads(_modules[name][1])

    @staticmethod
    def is_package(name):
        return _modules[name][0]

    @staticmethod
    def get_source(name):
        return None

    @staticmethod
    def get_data(path):
        """For `pkgutil.get_data`."""
        try:
            return _files[path.removeprefix(f"{ROOT}/")]
        except KeyError:
            raise FileNotFoundError(2, "no such file in the snapshot", path) from None

    @staticmethod
    def find_distributions(context):
        """For `importlib.metadata`."""
        from importlib.metadata import Distribution, Prepared

        class Installed(Distribution):
            def __init__(self, info):
                self._info = info

            def read_text(self, filename):
                data = _files.get(f"{self._info}/{filename}")
                return None if data is None else data.decode("utf-8", "replace")

            def locate_file(self, path):
                return _Path(str(path))

        wanted = Prepared(context.name)
        for path in list(_files):
            info, _, file = path.rpartition("/")
            if file == "METADATA" and info.endswith(".dist-info") and "/" not in info:
                name = Prepared.normalize(info.partition("-")[0])
                if not wanted or name == wanted.normalized:
                    yield Installed(info)

    @staticmethod
    def get_resource_reader(name):
        """For `importlib.resources`."""
        return _Resources(name.replace(".", "/"))


class _EmptySysconfig:
    @staticmethod
    def create_module(spec):
        return None

    @staticmethod
    def exec_module(module):
        module.build_time_vars = {}


class _Resources:
    def __init__(self, path):
        self._path = path

    def files(self):
        return _Path(self._path)


class _Path:
    """A file or a directory of the snapshot, as `importlib.resources.abc.Traversable` describes it."""

    def __init__(self, path):
        self._path = path
        self.name = path.rpartition("/")[2]

    def is_file(self):
        return self._path in _files

    def is_dir(self):
        return any(path.startswith(f"{self._path}/") for path in _files)

    def iterdir(self):
        prefix = f"{self._path}/"
        names = {path[len(prefix) :].partition("/")[0] for path in _files if path.startswith(prefix)}
        return iter([_Path(prefix + name) for name in sorted(names)])

    def joinpath(self, *parts):
        return _Path("/".join([self._path, *(part for whole in parts for part in str(whole).split("/") if part)]))

    __truediv__ = joinpath

    def read_bytes(self):
        return SnapshotImporter.get_data(self._path)

    def read_text(self, encoding="utf-8", errors="strict"):
        return self.read_bytes().decode(encoding, errors)

    def open(self, mode="r", encoding="utf-8", errors="strict", **_options):
        import io

        if "b" in mode:
            return io.BytesIO(self.read_bytes())
        return io.StringIO(self.read_text(encoding, errors))

    def __str__(self):
        return f"{ROOT}/{self._path}"


after_import = {}
"""Module name -> what is done to the module when it is imported."""


def install():
    """Puts the snapshot before the search in directories, and forgets those of the build."""
    from importlib.machinery import PathFinder

    sys.meta_path.insert(sys.meta_path.index(PathFinder), SnapshotImporter)
    sys.path.clear()
    sys.path_importer_cache.clear()
    _tops.update(name.partition(".")[0] for name in _modules)

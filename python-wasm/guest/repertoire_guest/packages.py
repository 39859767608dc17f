"""Packages of a runtime image: wheels, unpacked, compiled and imported in an instance that can reach nothing.

The host keeps the memory that this leaves behind, and runs of the image begin with it. Everything about a wheel is
decided here, inside the sandbox: the host has looked at none of its bytes.
"""

import email.parser
import importlib
import io
import marshal
import posixpath
import re
import sys
import zipfile

from componentize_py_types import Err
from wit_world.exports.guest import Package
from wit_world.imports.types import Error, ErrorCode

from . import chance, failure, refusals, snapshot, standard_streams, stdlib

MAX_FILES = 20_000
MAX_UNPACKED = 128 << 20
"""Bytes of all files of all wheels of an image; its memory is bounded by the host as well."""

_NATIVE = re.compile(r"\.(?:so(?:\.[0-9.]+)?|pyd|dll|dylib)$")
_OWN = {"app", "repertoire", "repertoire_guest", "wit_world", "tzdata", "poll_loop", "workflow", "__main__"}
"""Modules of the runtime, which no package may replace."""

_EMPTY = marshal.dumps(compile("", "<namespace>", "exec"))


class Refused(Exception):
    """A wheel that cannot be part of an image, and why."""


class _Wheel:
    def __init__(self, data):
        try:
            self.archive = zipfile.ZipFile(io.BytesIO(data))
            self.files = _files(self.archive)
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise Refused(f"it is no wheel: {error}") from None
        infos = [path for path in self.files if re.fullmatch(r"[^/]+\.dist-info/METADATA", path)]
        if len(infos) != 1:
            raise Refused("it is no wheel: there is not one *.dist-info/METADATA in it")
        self.info = posixpath.dirname(infos[0])
        head = email.parser.HeaderParser().parsestr(self.read(infos[0]).decode("utf-8", "replace"))
        self.name, self.version = (str(head[key] or "").strip() for key in ("Name", "Version"))
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", self.name) or not re.fullmatch(r"[A-Za-z0-9._+!-]{1,100}", self.version):
            raise Refused("its METADATA has no name and version")
        self.without = sorted(path for path in self.files if _NATIVE.search(path))
        self.modules = set()

    def read(self, path):
        try:
            return self.archive.read(self.files[path])
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, OSError) as error:
            raise Refused(f"{path!r} cannot be read: {error}") from None
        except Exception as error:  # zlib.error is no subclass of anything useful
            raise Refused(f"{path!r} cannot be read: {error}") from None

    def __str__(self):
        return f"{self.name} {self.version}"


def _files(archive):
    """Where each file goes: path -> member."""
    members = archive.infolist()
    if len(members) > MAX_FILES:
        raise Refused(f"it has {len(members)} files, and may have {MAX_FILES}")
    size = sum(member.file_size for member in members)
    if size > MAX_UNPACKED:
        raise Refused(f"its files have {size} bytes, and may have {MAX_UNPACKED}")
    files = {}
    for member in members:
        path = member.filename
        parts = path.rstrip("/").split("/")
        if path.startswith("/") or "\\" in path or ":" in parts[0] or not all(parts) or {".", ".."} & set(parts):
            raise Refused(f"it has a file {path[:200]!r}, which would lie outside of it")
        if member.is_dir():
            continue
        if (member.external_attr >> 16) & 0o170000 == 0o120000:
            raise Refused(f"{path[:200]!r} is a link")
        if parts[0].endswith(".data"):
            if len(parts) < 3 or parts[1] not in ("purelib", "platlib"):
                continue  # programs, headers and manual pages
            path = "/".join(parts[2:])
        if path in files:
            raise Refused(f"it has {path[:200]!r} twice")
        files[path] = member
    return files


def export(wheels):
    """The export `install`."""
    try:
        return _install(wheels)
    except Refused as refusal:
        text = failure.sayable(str(refusal))[:4000]
        raise Err(Error(ErrorCode.INVALID_ARGUMENT, text, None)) from None


def _install(datas):
    wheels = []
    for number, data in enumerate(datas, 1):
        try:
            wheels.append(_Wheel(data))
        except Refused as refusal:
            raise Refused(f"wheel {number} of {len(datas)}: {refusal}") from None
    if sum(member.file_size for wheel in wheels for member in wheel.files.values()) > MAX_UNPACKED:
        raise Refused(f"the files of all packages have more than {MAX_UNPACKED} bytes")
    for wheel in wheels:
        try:
            _unpack(wheel)
        except Refused as refusal:
            raise Refused(f"{wheel}: {refusal}") from None
    chance.begin()
    with standard_streams.hushed():
        for wheel in wheels:
            for module in sorted(wheel.modules):
                _import(wheel, module)
    chance.begin()
    chance.release()
    snapshot.freeze()
    return [Package(wheel.name, wheel.version, sorted(wheel.modules), wheel.without) for wheel in wheels]


def _unpack(wheel):
    for path in wheel.files:
        folder, _, file = path.rpartition("/")
        stem, extension = posixpath.splitext(file)
        if path in wheel.without:
            module = path.split(".")[0].replace("/", ".")
            refusals.lacks_native(module, wheel.name)
            if not folder:
                wheel.modules.add(module)
        elif extension == ".py" and all(part.isidentifier() for part in [*folder.split("/"), stem] if part):
            _add_module(wheel, folder.replace("/", "."), stem, wheel.read(path))
        elif extension not in (".pyc", ".pth"):
            if path in stdlib._files:
                raise Refused(f"another package, or Python, has a file {path!r} already")
            stdlib._files[path] = wheel.read(path)


def _add_module(wheel, package, stem, source):
    is_package = stem == "__init__"
    name = package if is_package else f"{package}.{stem}" if package else stem
    top = name.partition(".")[0]
    if not name:
        return
    if top in sys.stdlib_module_names or top in _OWN or top.startswith("componentize_py") or top in stdlib._tops:
        raise Refused(f"it has a module {top!r}, which is Python's own, or the runtime's")
    if name in stdlib._modules and stdlib._modules[name][1] is not _EMPTY:
        raise Refused(f"another package has a module {name!r} already")
    wheel.modules.add(top)
    while package:
        stdlib._modules.setdefault(package, (True, _EMPTY))
        package = package.rpartition(".")[0]
    try:
        code = compile(source, stdlib._origin(name, is_package), "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return  # for another Python, or a test's bad example
    stdlib._modules[name] = (is_package, marshal.dumps(code))


def _import(wheel, module):
    try:
        importlib.import_module(module)
    except BaseException as error:
        if module.startswith("_"):
            return  # a part of the package, which may do without it
        said = f"`import {module}` says {type(error).__name__}: {failure.message(error)}"
        if wheel.without:
            raise Refused(
                f"{wheel} has native code, which sandboxes cannot run, and cannot do without it: {said} (native: {', '.join(wheel.without[:5])})"
            ) from None
        raise Refused(f"{wheel} cannot be imported here: {said}") from None

"""Code objects of workflows, as the host keeps them beside the sources.

They are made in an instance that runs nothing of the source, and believed no more than the source is:
they are read inside the sandbox only, and only if they say that they were made of this name and
source by this Python. Whoever forges one gets a workflow of that behaviour, or one that traps.
"""

import marshal
from _imp import source_hash
from importlib.util import MAGIC_NUMBER
from types import CodeType

from componentize_py_types import Err
from wit_world.imports.types import Error, ErrorCode

from . import failure

_HEADER = b"repertoire 1 " + MAGIC_NUMBER
_SIZE = len(_HEADER) + 8
_load = marshal.loads
_KEY = int.from_bytes(MAGIC_NUMBER)


def filename(name):
    """What tracebacks call a workflow."""
    return f"<workflow {name}>" if name else "<workflow>"


def compile_source(file, source):
    """The code object of a workflow's body."""
    return compile(source, file, "exec", dont_inherit=True)


def export(name, source):
    """The export `compile`."""
    file = filename(name)
    try:
        return _head(file, source) + marshal.dumps(compile_source(file, source))
    except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError) as error:
        raise Err(Error(ErrorCode.INVALID_SOURCE, failure.message(error), None)) from None


def load(file, source, stored):
    """The code object, from what `export` made if that fits."""
    if stored is not None and stored[:_SIZE] == _head(file, source):
        try:
            code = _load(stored[_SIZE:])
        except (ValueError, EOFError, TypeError):
            code = None
        if type(code) is CodeType and not code.co_freevars:
            return code
    return compile_source(file, source)


def _head(file, source):
    return _HEADER + source_hash(_KEY, f"{file}\0{source}".encode())

"""componentize-py's side of the imports, with less in the way.

What it generates for an import is a Python function around `call_import`, and it wraps each answer
in dataclasses. A host call is a few microseconds long, and these would be a third of it.
"""

import dis

import componentize_py_runtime
import componentize_py_types
from wit_world.imports import calls

componentize_py_types.Ok = StopIteration
"""What a `result` that went well is wrapped in. componentize-py takes the name from this module once `app`
is imported, and needs a class of one argument that it finds again as `value`: this one is made in C."""

calls.Completion = slice
"""A record of two fields, likewise: `start` is its id, `stop` its answer."""

call_import = componentize_py_runtime.call_import
"""Calls an import by its number with a tuple of arguments; returns what an `Ok` holds as `.value`, or an `Err`."""


def number(function):
    """The number of an import: what its generated function passes on first."""
    for instruction in dis.get_instructions(function):
        if instruction.opname in ("LOAD_SMALL_INT", "LOAD_CONST") and type(instruction.argval) is int:
            return instruction.argval
    raise RuntimeError(f"componentize-py generates {function.__qualname__} differently now; see glue.py")

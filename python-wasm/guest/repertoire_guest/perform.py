"""Runs a workflow; executes agent code.

A workflow's source is the body of a module called `workflow`, which exists in `sys.modules` so that
dataclasses, typing and pickle find what they look for. Agent code is cells of one module, `__main__`.
"""

import ast
import sys
from types import CoroutineType, ModuleType

import repertoire
from wit_world.exports.guest import Exception as WitException
from wit_world.exports.guest import Failure, Outcome
from wit_world.imports.types import ErrorCode

from . import chance, compiled, event_loop, failure, jsontext, lines, own_types, standard_streams
from .artifacts import Artifacts
from .tools import Tools
from .workflows import Workflows

_GLOBALS = {"tools": Tools(), "workflows": Workflows(), "artifacts": Artifacts()}
vars(repertoire).update(_GLOBALS)
_COROUTINE = 0x80  # inspect.CO_COROUTINE
_FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT

_encode = jsontext.encode
_decode = jsontext.decode


class Failed(Exception):
    """Carries a failure to the export that reports it."""

    def __init__(self, what):
        self.failure = what


def _begin():
    """What must be as at the start of a program, because the snapshot froze it."""
    chance.begin()
    sys.argv = ["workflow"]  # never empty: argparse and others read the program's name there


def _module(name):
    module = ModuleType(name)
    module.__dict__.update(_GLOBALS)
    sys.modules[name] = module
    return module.__dict__


_prepared = None
"""A module for the first run of the instance, made while the component was built."""


def prepare():
    """Makes what the first run will need."""
    global _prepared
    _prepared = _module("workflow")


def _workflow_module():
    global _prepared
    namespace, _prepared = _prepared, None
    return _module("workflow") if namespace is None else namespace


def run(name, source, arguments, code=None):
    """Runs a workflow and returns its `Outcome`; raises `Failed`."""
    filename = compiled.filename(name)
    kind = ErrorCode.RAISED
    try:
        _begin()
        lines.remember(filename, source)
        namespace = _workflow_module()
        kind = ErrorCode.INVALID_SOURCE
        body = compiled.load(filename, source, code)
        kind = ErrorCode.RAISED
        exec(body, namespace)
        entry = namespace.get("run")
        if not callable(entry):
            kind = ErrorCode.INVALID_SOURCE
            raise ValueError("the source defines no function `run`; add `def run(...)` or `async def run(...)`")
        result = entry(**own_types.arguments(entry, _decode(arguments), namespace))
        if type(result) is CoroutineType or hasattr(result, "__await__"):
            result = event_loop.complete(result)
        return Outcome(_encode(result, "result"), None)
    except jsontext.NotJson as refusal:
        raise Failed(_invalid_result(refusal)) from None
    except BaseException as raised:
        raise Failed(failure.of(raised, kind)) from None
    finally:
        standard_streams.flush()


def _invalid_result(refusal):
    text = failure.sayable(str(refusal))
    return Failure(
        code=ErrorCode.INVALID_RESULT,
        message=text,
        exceptions=[WitException("repertoire.InvalidResultError", text)],
        traceback="",
        details=None,
    )


class Session:
    """Agent code: cells that share one namespace."""

    def __init__(self):
        self._cells = 0
        self._namespace = None

    def execute(self, code):
        """Executes one cell and returns its `Outcome`; raises `Failed`."""
        self._cells += 1
        filename = f"<cell {self._cells}>"
        kind = ErrorCode.RAISED
        try:
            _begin()
            lines.remember(filename, code)
            if self._namespace is None:
                self._namespace = _module("__main__")
            kind = ErrorCode.INVALID_SOURCE
            body, has_value = _compile_cell(code, filename)
            kind = ErrorCode.RAISED
            namespace = self._namespace
            coroutine = eval(body, namespace)
            if body.co_flags & _COROUTINE:
                event_loop.complete(coroutine, keep_tasks=True)
            return _say(namespace["_"]) if has_value else Outcome("null", None)
        except BaseException as raised:
            raise Failed(failure.of(raised, kind)) from None
        finally:
            standard_streams.flush()


def _compile_cell(code, filename):
    """A cell's code object, and whether it leaves the value of a last expression in `_`."""
    tree = compile(code, filename, "exec", _FLAGS | ast.PyCF_ONLY_AST, dont_inherit=True)
    has_value = bool(tree.body) and isinstance(tree.body[-1], ast.Expr)
    if has_value:
        last = tree.body[-1]
        target = ast.copy_location(ast.Name("_", ast.Store()), last)
        tree.body[-1] = ast.copy_location(ast.Assign([target], last.value), last)
    return compile(tree, filename, "exec", _FLAGS, dont_inherit=True), has_value


def _say(value):
    try:
        return Outcome(_encode(value, "value"), None)
    except jsontext.NotJson:
        return Outcome("null", failure.bounded_repr(value))

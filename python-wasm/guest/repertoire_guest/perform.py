"""Runs a workflow; executes agent code.

A workflow's source is the body of a module called `workflow`, which exists in `sys.modules` so that
dataclasses, typing and pickle find what they look for. Agent code is cells of one module, `__main__`.
"""

import _random
import ast
import linecache
import os
import random
import sys
from types import CoroutineType, ModuleType

import repertoire
from wit_world.exports.guest import Exception as WitException
from wit_world.exports.guest import Failure, Outcome
from wit_world.imports.types import ErrorCode

from . import event_loop, failure, jsontext, own_types
from .artifacts import Artifacts
from .tools import Tools
from .workflows import Workflows

_GLOBALS = {"tools": Tools(), "workflows": Workflows(), "artifacts": Artifacts()}
vars(repertoire).update(_GLOBALS)
_COROUTINE = 0x80  # inspect.CO_COROUTINE
_FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT

_seed = _random.Random.seed
_generator = random._inst
_encode = jsontext.encode
_decode = jsontext.decode


class Failed(Exception):
    """Carries a failure to the export that reports it."""

    def __init__(self, what):
        self.failure = what


def _begin():
    """What must differ from run to run, because the snapshot froze it."""
    _seed(_generator, int.from_bytes(os.urandom(16)))
    _generator.gauss_next = None
    sys.argv = ["workflow"]  # never empty: argparse and others read the program's name there


def _flush():
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        try:
            stream.flush()
        except BaseException:  # closed or replaced by the workflow, or the host takes no more
            pass


def _module(name):
    module = ModuleType(name)
    module.__dict__.update(_GLOBALS)
    sys.modules[name] = module
    return module.__dict__


def _remember_source(filename, source):
    """Lets tracebacks show the source's own lines."""
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)


def run(name, source, arguments):
    """Runs a workflow and returns its `Outcome`; raises `Failed`."""
    filename = f"<workflow {name}>" if name else "<workflow>"
    code = ErrorCode.RAISED
    try:
        _begin()
        _remember_source(filename, source)
        namespace = _module("workflow")
        code = ErrorCode.INVALID_SOURCE
        body = compile(source, filename, "exec", dont_inherit=True)
        code = ErrorCode.RAISED
        exec(body, namespace)
        entry = namespace.get("run")
        if not callable(entry):
            code = ErrorCode.INVALID_SOURCE
            raise ValueError("the source defines no function `run`; add `def run(...)` or `async def run(...)`")
        result = entry(**own_types.arguments(entry, _decode(arguments), namespace))
        if type(result) is CoroutineType or hasattr(result, "__await__"):
            result = event_loop.complete(_awaited(result))
        return Outcome(_encode(result, "result"), None)
    except jsontext.NotJson as refusal:
        raise Failed(_invalid_result(refusal)) from None
    except BaseException as raised:
        raise Failed(failure.of(raised, code)) from None
    finally:
        _flush()


async def _awaited(result):
    return await result


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
            _remember_source(filename, code)
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
            _flush()


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

"""Departures from the standards for workflows: advice, never a reason to refuse a source."""

import ast
from dataclasses import dataclass

from . import docstrings

ABBREVIATIONS = {
    "acct": "account", "amt": "amount", "arr": "array", "attr": "attribute", "attrs": "attributes", "buf": "buffer",
    "calc": "calculate", "cb": "callback", "cfg": "configuration", "cmd": "command", "cnt": "count", "contrib": "contributors",
    "ctx": "context", "curr": "current", "desc": "description", "dest": "destination", "dst": "destination", "elem": "element",
    "err": "error", "excl": "exclude", "fmt": "format", "hdr": "header", "hdrs": "headers", "idx": "index", "img": "image",
    "incl": "include", "len": "length", "lst": "list", "msg": "message", "msgs": "messages", "nbr": "number", "org": "organization",
    "passwd": "password", "pkg": "package", "prev": "previous", "pwd": "password", "qty": "quantity", "repo": "repository",
    "repos": "repositories", "req": "request", "resp": "response", "src": "source", "srv": "server", "svc": "service",
    "tbl": "table", "tgt": "target", "tmp": "temporary", "txt": "text", "usr": "user", "val": "value", "vals": "values",
}  # fmt: skip
"""Abbreviations that a reader has to guess, with what they probably mean."""

_FINE_ALONE = {"org", "repo", "repos"}
"""Words of their own by now; only in a compound (`repo_url`) are they taken for an abbreviation."""


@dataclass
class Warning:
    """A departure; `code` is stable, `line` is 1-based."""

    code: str
    message: str
    line: int


def check(tree, run):
    """All departures of a source, in the order of its lines."""
    found = [*_hints(run), *_documentation(tree, run), *_names(run), *_bare_excepts(tree)]
    return sorted(found, key=lambda warning: warning.line)


def _arguments(run):
    return run.args.posonlyargs + run.args.args + run.args.kwonlyargs


def _hints(run):
    for argument in _arguments(run):
        if argument.annotation is None:
            yield Warning("missing-type-hint", f"parameter `{argument.arg}` has no type hint", argument.lineno)
    if run.returns is None:
        yield Warning("missing-type-hint", "`run` has no type hint for what it returns", run.lineno)


def _documentation(tree, run):
    if not docstrings.of(run) and not docstrings.of(tree):
        yield Warning("missing-docstring", "neither `run` nor the module has a docstring that says what the workflow does", run.lineno)


def _names(run):
    for argument in _arguments(run):
        words = argument.arg.split("_")
        if len(words) == 1 and words[0] in _FINE_ALONE:
            continue
        better = "_".join(ABBREVIATIONS.get(word, word) for word in words)
        if better != argument.arg:
            yield Warning("abbreviated-name", f"parameter `{argument.arg}` is abbreviated; `{better}` says what it means", argument.lineno)


def _bare_excepts(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.type is None and not _raises_again(node):
            yield Warning("bare-except", "a bare `except:` hides what went wrong; name the exceptions, or use `except Exception as error`", node.lineno)


def _raises_again(handler):
    return any(isinstance(node, ast.Raise) for statement in handler.body for node in ast.walk(statement))

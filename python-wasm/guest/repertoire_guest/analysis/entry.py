"""Parses a source and finds the function that a workflow is: `run`."""

import ast
import warnings

MAX_BYTES = 1024 * 1024


class InvalidSource(Exception):
    """A source that is no workflow, and why; `details` has `line`, `column` and `text` where they are known."""

    def __init__(self, message, details=None):
        super().__init__(message)
        self.details = details


def parse(source):
    """The syntax tree of a source that compiles."""
    if len(source) > MAX_BYTES or len(source.encode("utf-8", "replace")) > MAX_BYTES:
        raise InvalidSource(f"the source is longer than {MAX_BYTES} bytes")
    if "\0" in source:
        line = source.count("\n", 0, source.index("\0")) + 1
        raise InvalidSource(f"line {line}: the source contains a null byte", {"line": line})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(source)
            compile(tree, "<workflow>", "exec", dont_inherit=True)  # `return` outside of a function, and the like
        except SyntaxError as error:
            raise _syntax(error, source) from None
        except ValueError as error:
            raise InvalidSource(f"the source does not parse: {error}") from None
    return tree


def _syntax(error, source):
    lines = source.splitlines()
    line, column = error.lineno, error.offset
    if not line:
        return InvalidSource(f"the source does not parse: {error.msg}")
    text = (error.text or (lines[line - 1] if line <= len(lines) else "")).rstrip("\n")
    details = {"line": line, "column": column or 1, "text": text[:500]}
    where = f"line {line}, column {column or 1}: {error.msg}"
    if not text.strip() or len(text) > 500:
        return InvalidSource(where, details)
    stripped = text.lstrip()
    caret = max((column or 1) - 1 - (len(text) - len(stripped)), 0)
    return InvalidSource(f"{where}\n    {stripped}\n    {' ' * caret}^", details)


def find(tree):
    """The last top-level definition of `run`, which is the one that counts when the module is run."""
    found = None
    for statement in _top_level(tree.body):
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)) and statement.name == "run":
            found = statement
        elif "run" in _bound_names(statement):
            found = statement
    if found is None:
        raise InvalidSource("the source has no function `run`; add `def run(...)` or `async def run(...)` at its top level")
    if not isinstance(found, (ast.FunctionDef, ast.AsyncFunctionDef)):
        raise InvalidSource(
            f"line {found.lineno}: `run` is not a function here; write `def run(...)` or `async def run(...)`",
            {"line": found.lineno},
        )
    _refuse_unusable(found)
    return found


def _top_level(statements):
    """The statements of a module, and those below its `if`, `try` and `with`."""
    for statement in statements:
        yield statement
        if isinstance(statement, (ast.If, ast.Try, ast.TryStar, ast.With)):
            for part in ("body", "handlers", "orelse", "finalbody"):
                for child in getattr(statement, part, ()):
                    yield from _top_level(child.body if isinstance(child, ast.ExceptHandler) else [child])


def _bound_names(statement):
    if isinstance(statement, ast.ClassDef):
        return {statement.name}
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return {alias.asname or alias.name.partition(".")[0] for alias in statement.names}
    targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _refuse_unusable(run):
    arguments = run.args
    without_default = arguments.posonlyargs[: max(0, len(arguments.posonlyargs) - len(arguments.defaults))]
    if without_default:
        name = without_default[0].arg
        raise InvalidSource(
            f"line {run.lineno}: `run` is called with keyword arguments, and `{name}` is positional-only; remove the `/`",
            {"line": run.lineno},
        )
    if any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in _own_nodes(run)):
        raise InvalidSource(
            f"line {run.lineno}: `run` is a generator, and its result would not be JSON; collect what it yields in a list and return it",
            {"line": run.lineno},
        )


def _own_nodes(function):
    """The nodes of a function's body, without those of functions inside it."""
    waiting = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            waiting.extend(ast.iter_child_nodes(node))


def is_async(run):
    return isinstance(run, ast.AsyncFunctionDef)


def keyword_parameters(run):
    """The parameters that can be given by name, each with its default's node or None."""
    arguments = run.args
    positional = arguments.posonlyargs + arguments.args
    defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults
    yield from list(zip(positional, defaults))[len(arguments.posonlyargs) :]
    yield from zip(arguments.kwonlyargs, arguments.kw_defaults)


def signature(run):
    """`(url: str, timeout: int = 30) -> dict`"""
    arguments = run.args
    positional = arguments.posonlyargs + arguments.args
    defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults
    parts = [_parameter(argument, default) for argument, default in zip(positional, defaults)]
    if arguments.posonlyargs:
        parts.insert(len(arguments.posonlyargs), "/")
    if arguments.vararg:
        parts.append("*" + _parameter(arguments.vararg, None))
    elif arguments.kwonlyargs:
        parts.append("*")
    parts.extend(_parameter(argument, default) for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults))
    if arguments.kwarg:
        parts.append("**" + _parameter(arguments.kwarg, None))
    returns = f" -> {_hint(run.returns)}" if run.returns else ""
    return f"({', '.join(parts)}){returns}"


def _parameter(argument, default):
    hint = f": {_hint(argument.annotation)}" if argument.annotation else ""
    if default is None:
        return f"{argument.arg}{hint}"
    value = ast.unparse(default)
    if len(value) > 200:
        value = "..."
    return f"{argument.arg}{hint} = {value}" if hint else f"{argument.arg}={value}"


def _hint(annotation):
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return annotation.value
    return ast.unparse(annotation)

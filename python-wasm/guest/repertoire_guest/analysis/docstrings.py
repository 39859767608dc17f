"""Docstrings in the styles that people write: Google's, NumPy's, Sphinx's."""

import ast
import inspect
import re
from dataclasses import dataclass, field

_SECTIONS = {
    "args": "parameters",
    "arguments": "parameters",
    "parameters": "parameters",
    "params": "parameters",
    "keyword args": "parameters",
    "keyword arguments": "parameters",
    "other parameters": "parameters",
    "returns": "returns",
    "return": "returns",
    "raises": "raises",
    "raise": "raises",
    "exceptions": "raises",
    "yields": "",
    "example": "",
    "examples": "",
    "note": "",
    "notes": "",
    "warning": "",
    "warnings": "",
    "see also": "",
    "references": "",
    "attributes": "",
    "todo": "",
}
_GOOGLE_ITEM = re.compile(r"\*{0,2}([\w.]+)\s*(?:\([^)]*\))?\s*:\s*(.*)")
_NUMPY_ITEM = re.compile(r"\*{0,2}([\w.]+(?:\s*,\s*[\w.]+)*)\s*(?::.*)?$")
_SPHINX_ITEM = re.compile(r":(\w+)(?:\s+([^:]*))?:\s*(.*)")
_TYPE_PREFIX = re.compile(r"(?:str|int|float|bool|dict|list|tuple|None|Any|object|string|[A-Za-z_.]+\[[^:]*\])\s*:\s+")


@dataclass
class Docstring:
    """What a docstring says; empty where it says nothing."""

    summary: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    returns: str = ""
    raises: list[tuple[str, str]] = field(default_factory=list)


def of(node):
    """A module's or a function's docstring, dedented; empty if it has none."""
    return (ast.get_docstring(node, clean=True) or "").strip()


def parse(text):
    """Reads the sections of a dedented docstring."""
    result = Docstring(summary=_summary(text))
    for kind, is_numpy, lines in _sections(text.splitlines()):
        if kind == "parameters":
            for names, description in _items(lines, is_numpy):
                for name in names:
                    result.parameters[name] = description
        elif kind == "raises":
            result.raises += [(name, description) for names, description in _items(lines, is_numpy) for name in names]
        elif kind == "returns":
            result.returns = _returns(lines, is_numpy)
    _sphinx(text.splitlines(), result)
    return result


def _summary(text):
    lines = []
    for line in text.splitlines():
        if not line.strip() or _header(line) is not None or _SPHINX_ITEM.match(line.strip()):
            break
        lines.append(line.strip())
    return " ".join(lines)


def _header(line):
    """The section that a line begins, or None."""
    stripped = line.strip()
    if stripped.endswith(":") and stripped[:-1].lower() in _SECTIONS:
        return stripped[:-1].lower()
    return None


def _is_underline(line):
    return len(line.strip()) >= 3 and set(line.strip()) == {"-"}


def _sections(lines):
    """The sections: what they are about, whether in NumPy's style, and their lines."""
    current = None
    for index, line in enumerate(lines):
        following = lines[index + 1] if index + 1 < len(lines) else ""
        name = _header(line)
        if name is None and _is_underline(following) and line.strip().lower() in _SECTIONS:
            name = line.strip().lower()
        if name is not None:
            if current:
                yield current
            current = (_SECTIONS[name], _is_underline(following), [])
        elif current and not (_is_underline(line) and not current[2]):
            if not current[1] and current[2] and not current[2][-1].strip() and line[:1].strip():
                yield current  # prose after a section
                current = None
            else:
                current[2].append(line)
    if current:
        yield current


def _items(lines, is_numpy):
    """`name: description` entries; lines that are indented deeper than an entry continue it."""
    items = []
    text = inspect.cleandoc("\n" + "\n".join(lines))
    for line in text.splitlines():
        pattern = _NUMPY_ITEM if is_numpy else _GOOGLE_ITEM
        match = pattern.match(line) if line[:1].strip() else None
        if match:
            names = [name.strip() for name in match[1].split(",")]
            items.append((names, [] if is_numpy else [match[2]]))
        elif items:
            items[-1][1].append(line.strip())
    return [(names, " ".join(part for part in parts if part)) for names, parts in items]


def _returns(lines, is_numpy):
    text = inspect.cleandoc("\n" + "\n".join(lines))
    if is_numpy:  # the type stands on a line of its own
        described = [line.strip() for line in text.splitlines() if line[:1] == " "]
        if described:
            return " ".join(described)
    text = " ".join(line.strip() for line in text.splitlines() if line.strip())
    return _TYPE_PREFIX.sub("", text, count=1) if _TYPE_PREFIX.match(text) else text


def _sphinx(lines, result):
    last = None
    for line in lines:
        match = _SPHINX_ITEM.match(line.strip())
        if match:
            last = _sphinx_field(match[1], (match[2] or "").split(), result)
            if last:
                last(match[3])
        elif last and line[:1] == " " and line.strip():
            last(line.strip())
        else:
            last = None


def _sphinx_field(kind, words, result):
    """What adds text to a Sphinx field, or None for a field that says nothing of interest."""
    if kind in ("param", "parameter", "arg", "argument") and words:
        return lambda text: result.parameters.update({words[-1]: f"{result.parameters.get(words[-1], '')} {text}".strip()})
    if kind in ("raises", "raise", "except", "exception") and words:
        result.raises.append((words[0], ""))
        return lambda text: result.raises.append((words[0], f"{result.raises.pop()[1]} {text}".strip()))
    if kind in ("returns", "return"):

        def add(text):
            result.returns = f"{result.returns} {text}".strip()

        return add
    return None

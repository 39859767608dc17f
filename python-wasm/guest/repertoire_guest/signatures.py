"""What a tool takes, written as a Python programmer would."""

from . import jsontext

_NAMES = {
    "string": "str", "integer": "int", "number": "float", "boolean": "bool", "object": "dict", "null": "None",
}  # fmt: skip

_MOST_CHOICES = 12
"""Beyond these a list of choices says less than it takes room."""


def _type(schema, depth=0):
    """A JSON Schema as an annotation: what a reader needs, not all that it says."""
    if not isinstance(schema, dict) or depth > 4:
        return "Any"
    if "const" in schema:
        return f"Literal[{schema['const']!r}]"
    choices = schema.get("enum")
    if isinstance(choices, list) and 0 < len(choices) <= _MOST_CHOICES:
        return f"Literal[{', '.join(map(repr, choices))}]"
    for union in ("anyOf", "oneOf"):
        if isinstance(schema.get(union), list):
            return _union(_type(item, depth + 1) for item in schema[union])
    kinds = schema.get("type")
    if isinstance(kinds, list):
        return _union(_type({**schema, "type": kind}, depth + 1) for kind in kinds)
    if kinds == "array":
        items = schema.get("items")
        return f"list[{_type(items, depth + 1)}]" if items else "list"
    return _NAMES.get(kinds, "Any") if isinstance(kinds, str) else "Any"


def _union(types):
    return " | ".join(dict.fromkeys(types)) or "Any"


def _parameter(wit):
    text = f"{wit.name}: {_type(jsontext.decode(wit.schema))}"
    if wit.required:
        return text
    default = "..." if wit.default_value is None else repr(jsontext.decode(wit.default_value))
    return f"{text} = {default if len(default) <= 60 else '...'}"


def signature(callable_):
    """`(*, url: str, limit: int = 10)`; `...` is a parameter that may be left out."""
    ordered = sorted(callable_.parameters, key=lambda wit: not wit.required)
    return f"(*, {', '.join(map(_parameter, ordered))})" if ordered else "()"


def documentation(name, callable_, description):
    """The signature, the description, and a line for each parameter that has one."""
    lines = [f"{name}{signature(callable_)}"]
    lines += [f"    {line}" for line in description.splitlines()]
    lines += [f"    {wit.name}: {wit.description}" for wit in callable_.parameters if wit.description]
    return "\n".join(lines)

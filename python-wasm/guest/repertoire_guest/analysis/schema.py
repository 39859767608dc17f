"""Type hints to JSON Schema (draft 2020-12), from the text of the hints alone.

What a hint says that JSON cannot, or that this does not know, becomes `{}`, which allows everything: a
schema may be vaguer than the hint, and never stricter than what `run` would take.
"""

import ast

from .. import jsontext
from . import types_in_source

_SIMPLE = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "None": "null",
    "NoneType": "null",
    "Text": "string",
    "LiteralString": "string",
}
_OBJECTS = {"dict", "Dict", "Mapping", "MutableMapping", "OrderedDict", "defaultdict", "DefaultDict"}
_ARRAYS = {"list", "List", "Sequence", "MutableSequence", "Iterable", "Collection", "Iterator", "tuple", "Tuple"}
_SETS = {"set", "Set", "frozenset", "FrozenSet", "AbstractSet", "MutableSet"}
_WRAPPERS = {"Annotated", "Required", "NotRequired", "ReadOnly", "Final", "ClassVar"}
_MAX_DEPTH = 50


def literal(node):
    """The JSON text of a default that JSON can say, or None."""
    if node is None:
        return None
    try:
        return jsontext.encode(ast.literal_eval(node), "default")
    except (ValueError, TypeError, jsontext.NotJson):
        return None


class Schemas:
    """Makes the schemas of one source, whose own classes and aliases its hints may name."""

    def __init__(self, tree):
        self._types = types_in_source.find(tree)
        self._used = {}

    def parameter(self, annotation, default):
        """A parameter's schema; a default of None allows null, whatever the hint says."""
        schema = self._whole(annotation)
        if isinstance(default, ast.Constant) and default.value is None:
            definitions = schema.pop("$defs", None)
            schema = _any_of([schema, {"type": "null"}])
            if definitions and schema:
                schema["$defs"] = definitions
        return schema

    def result(self, annotation):
        return self._whole(annotation)

    def _whole(self, annotation):
        if annotation is None:
            return {}
        self._used = {}
        schema = self._of(annotation, 0)
        if self._used and schema:
            schema = {**schema, "$defs": self._used}
        return schema

    def _of(self, node, depth):
        if depth > _MAX_DEPTH:
            return {}
        if isinstance(node, ast.Constant):
            return self._of_constant(node.value, depth)
        if isinstance(node, (ast.Name, ast.Attribute)):
            return self._of_name(_last_name(node), depth)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return _any_of([self._of(node.left, depth + 1), self._of(node.right, depth + 1)])
        if isinstance(node, ast.Subscript):
            arguments = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            return self._of_generic(_last_name(node.value), arguments, depth + 1)
        return {}

    def _of_constant(self, value, depth):
        if value is None:
            return {"type": "null"}
        if isinstance(value, str):  # a hint in quotes
            try:
                return self._of(ast.parse(value.strip(), mode="eval").body, depth + 1)
            except (SyntaxError, ValueError):
                return {}
        return {}

    def _of_name(self, name, depth):
        if name in self._types:
            return self._of_own(name, self._types[name], depth + 1)
        if name in _SIMPLE:
            return {"type": _SIMPLE[name]}
        if name in _OBJECTS:
            return {"type": "object"}
        if name in _ARRAYS:
            return {"type": "array"}
        if name in _SETS:
            return {"type": "array", "uniqueItems": True}
        return {}

    def _of_generic(self, name, arguments, depth):
        if name == "Optional":
            return _any_of([self._of(arguments[0], depth), {"type": "null"}])
        if name == "Union":
            return _any_of([self._of(argument, depth) for argument in arguments])
        if name == "Literal":
            return _literals(arguments)
        if name in _WRAPPERS:
            return self._annotated(arguments, depth)
        if name in ("tuple", "Tuple"):
            return self._tuple(arguments, depth)
        schema = self._of_name(name, depth)
        inner = self._of(arguments[-1], depth)
        if inner and schema.get("type") == "array" and "items" not in schema:
            return {**schema, "items": inner}
        if inner and schema == {"type": "object"} and len(arguments) == 2:
            return {**schema, "additionalProperties": inner}
        return schema

    def _annotated(self, arguments, depth):
        schema = self._of(arguments[0], depth)
        for note in arguments[1:]:
            if isinstance(note, ast.Constant) and isinstance(note.value, str):
                return {**schema, "description": note.value}
        return schema

    def _tuple(self, arguments, depth):
        if len(arguments) == 2 and isinstance(arguments[1], ast.Constant) and arguments[1].value is ...:
            inner = self._of(arguments[0], depth)
            return {"type": "array", "items": inner} if inner else {"type": "array"}
        if len(arguments) == 1 and isinstance(arguments[0], ast.Tuple):
            arguments = arguments[0].elts
        items = [self._of(argument, depth) for argument in arguments]
        schema = {"type": "array", "minItems": len(items), "maxItems": len(items)}
        return {**schema, "prefixItems": items} if items else schema

    def _of_own(self, name, own, depth):
        if own.alias is not None:
            return self._of_alias(name, own.alias, depth)
        if own.values is not None:
            values = [value for value in map(_value, own.values) if value is not _NO_VALUE]
            return {"enum": values} if values and len(values) == len(own.values) else {}
        if name not in self._used:
            schema = self._used[name] = {"type": "object"}
            properties = {field.name: self._of(field.annotation, depth) for field in own.fields}
            required = [field.name for field in own.fields if field.required]
            schema["properties"] = properties
            if required:
                schema["required"] = required
            if own.closed:
                schema["additionalProperties"] = False
        return {"$ref": f"#/$defs/{name}"}

    def _of_alias(self, name, node, depth):
        own = self._types.pop(name)  # an alias of itself ends here
        try:
            return self._of(node, depth)
        finally:
            self._types[name] = own


def _any_of(schemas):
    flat = []
    for schema in schemas:
        if not schema:
            return {}
        flat.extend(schema["anyOf"] if list(schema) == ["anyOf"] else [schema])
    kinds = []
    for schema in flat:
        if list(schema) != ["type"]:
            break
        kinds.extend(schema["type"] if isinstance(schema["type"], list) else [schema["type"]])
    else:
        kinds = list(dict.fromkeys(kinds))
        return {"type": kinds[0] if len(kinds) == 1 else kinds}
    unique = []
    for schema in flat:
        if schema not in unique:
            unique.append(schema)
    return unique[0] if len(unique) == 1 else {"anyOf": unique}


def _literals(arguments):
    values = [_value(argument) for argument in arguments]
    return {} if _NO_VALUE in values else {"enum": values}


_NO_VALUE = object()


def _value(node):
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError):
        return _NO_VALUE
    return value if value is None or isinstance(value, (str, int, float)) else _NO_VALUE


def _last_name(node):
    """`List` of both `List` and `typing.List`."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""

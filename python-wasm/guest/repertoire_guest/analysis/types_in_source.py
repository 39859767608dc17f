"""The types that a source defines itself: TypedDicts, dataclasses, enumerations, aliases."""

import ast
from dataclasses import dataclass, field


@dataclass
class Field:
    """A key of a TypedDict, or a field of a dataclass."""

    name: str
    annotation: ast.expr
    required: bool


@dataclass
class Type:
    """Exactly one of three: an alias, an enumeration's values, or fields."""

    alias: ast.expr | None = None
    values: list[ast.expr] | None = None
    fields: list[Field] = field(default_factory=list)
    closed: bool = False


def find(tree):
    """Name -> type, for what is defined at the top level."""
    types = {}
    for statement in tree.body:
        if isinstance(statement, ast.ClassDef):
            found = _of_class(statement, types)
            name = statement.name
        else:
            name, found = _of_assignment(statement)
        if found is not None:
            types[name] = found
    return types


def _of_class(statement, types):
    bases = [_name(base) for base in statement.bases]
    inherited = [types[base] for base in bases if base in types]
    if any(base in ("Enum", "IntEnum", "StrEnum") for base in bases):
        return Type(values=[item.value for item in statement.body if isinstance(item, ast.Assign)])
    is_dataclass = any(_name(decorator) == "dataclass" for decorator in statement.decorator_list)
    is_typed_dict = "TypedDict" in bases or any(base.fields and not base.closed for base in inherited)
    if not is_dataclass and not is_typed_dict:
        return None
    total = not any(
        keyword.arg == "total" and isinstance(keyword.value, ast.Constant) and keyword.value.value is False
        for keyword in statement.keywords
    )
    fields = {item.name: item for base in inherited for item in base.fields}
    for item in statement.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            if is_dataclass:
                if _outer(item.annotation) == "ClassVar" or _is_hidden(item.value):
                    continue
                required = not _has_default(item.value)
            else:
                required = {"Required": True, "NotRequired": False}.get(_outer(item.annotation), total)
            fields[item.target.id] = Field(item.target.id, item.annotation, required)
    return Type(fields=list(fields.values()), closed=is_dataclass)


def _has_default(value):
    if isinstance(value, ast.Call) and _name(value) == "field":
        return any(keyword.arg in ("default", "default_factory") for keyword in value.keywords)
    return value is not None


def _is_hidden(value):
    return isinstance(value, ast.Call) and any(
        keyword.arg == "init" and isinstance(keyword.value, ast.Constant) and keyword.value.value is False
        for keyword in value.keywords
    )


def _of_assignment(statement):
    type_alias = getattr(ast, "TypeAlias", None)  # Python 3.12
    if type_alias and isinstance(statement, type_alias):
        return statement.name.id, Type(alias=statement.value)
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and _name(statement.annotation) == "TypeAlias":
        return statement.target.id, Type(alias=statement.value) if statement.value else None
    if not (isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name)):
        return "", None
    name, value = statement.targets[0].id, statement.value
    if isinstance(value, ast.Call):
        arguments = value.args
        if _name(value) == "NewType" and len(arguments) == 2:
            return name, Type(alias=arguments[1])
        if _name(value) == "TypedDict" and len(arguments) == 2 and isinstance(arguments[1], ast.Dict):
            return name, Type(fields=_functional_fields(arguments[1]))
        return "", None
    if isinstance(value, (ast.Name, ast.Attribute, ast.Subscript, ast.BinOp)):
        return name, Type(alias=value)
    return "", None


def _functional_fields(mapping):
    return [
        Field(key.value, value, _outer(value) != "NotRequired")
        for key, value in zip(mapping.keys, mapping.values)
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    ]


def _outer(annotation):
    return _name(annotation.value) if isinstance(annotation, ast.Subscript) else _name(annotation)


def _name(node):
    if isinstance(node, ast.Call):
        node = node.func
    if isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""

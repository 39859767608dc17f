"""Arguments for parameters whose hints name dataclasses or enumerations of the source itself.

The caller gives objects and values, as the schema says; `run` gets instances. TypedDicts stay dicts,
and everything else stays what JSON made of it.
"""

import types
import typing
from enum import EnumType


def arguments(run, given, namespace):
    """The keyword arguments, with instances where `run` wants some."""
    if not given or not any([_is_own(value) for value in namespace.values() if isinstance(value, type)]):
        return given
    try:
        hints = typing.get_type_hints(run)
    except Exception:  # a hint that names what is not there is not for us to judge
        return given
    return {name: _convert(value, hints[name], name) if name in hints else value for name, value in given.items()}


def _is_own(value):
    return value.__module__ == "workflow" and _is_wanted(value)


def _is_wanted(kind):
    return type(kind) is EnumType or "__dataclass_fields__" in kind.__dict__


def _convert(value, hint, path):
    origin = typing.get_origin(hint)
    if origin is None:
        return _instance(value, hint, path) if isinstance(hint, type) and _is_wanted(hint) else value
    inner = typing.get_args(hint)
    if origin is typing.Union or origin is types.UnionType:
        return _one_of(value, inner, path)
    if origin is typing.Annotated:
        return _convert(value, inner[0], path)
    if isinstance(value, list) and isinstance(origin, type) and issubclass(origin, typing.Collection) and len(inner) == 1:
        return [_convert(item, inner[0], f"{path}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, dict) and len(inner) == 2:
        return {key: _convert(item, inner[1], f"{path}[{key!r}]") for key, item in value.items()}
    return value


def _one_of(value, hints, path):
    for hint in hints:
        try:
            converted = _convert(value, hint, path)
        except (TypeError, ValueError):
            continue
        if converted is not value:
            return converted
    return value


def _instance(value, kind, path):
    try:
        if type(kind) is EnumType:
            return kind(value)
        if not isinstance(value, dict):
            return value
        hints = typing.get_type_hints(kind)
        fields = {name: _convert(item, hints.get(name), f"{path}.{name}") for name, item in value.items()}
        return kind(**fields)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{path}: {error}") from None

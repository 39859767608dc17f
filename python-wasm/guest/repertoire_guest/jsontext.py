"""Values to JSON text and back, exactly or not at all.

`json.dumps` says more than JSON does: it writes NaN, turns the keys 1, None
and True into text, and escapes half of a surrogate pair as if it were a
character. Here such values are refused, with the path to the culprit:

    result["rows"][3]: datetime is not JSON; use .isoformat()

Two passes, both mostly in C: `_is_plain` looks at the types, level by level,
and the encoder of `json` writes. Only what is not plain is walked
value by value, to accept subclasses and to find the words for a refusal.

What is used from `json` is bound once: a workflow that rewrites `json.dumps`
changes its own copy of the truth and not this one.
"""

import sys
from itertools import chain
from json.decoder import JSONDecoder
from json.encoder import c_make_encoder, encode_basestring

MAX_DEPTH = 128
"""The contract's bound on nesting; a host refuses deeper texts."""

_SCALARS = frozenset({str, int, float, bool, type(None)})
_TEXT = frozenset({str})
_CONTAINERS = frozenset({dict, list, tuple})
_PLAIN = _SCALARS | _CONTAINERS
_FEW = 50  # fewer than MAX_DEPTH: so many containers cannot be nested too deep
_MAX_LEVEL = 500_000  # of a wider level only the slow check, which goes depth first, can tell that it is a circle
_flatten = chain.from_iterable
_values = dict.values

_HINTS = {
    "datetime": "use .isoformat()",
    "date": "use .isoformat()",
    "time": "use .isoformat()",
    "timedelta": "use .total_seconds()",
    "Decimal": "use str() or float()",
    "Fraction": "use str() or float()",
    "complex": "use [z.real, z.imag]",
    "UUID": "use str()",
    "bytes": 'use .decode(), or save it with artifacts.save("name", value)',
    "bytearray": 'use bytes(value).decode(), or save it with artifacts.save("name", value)',
    "memoryview": 'use bytes(value).decode(), or save it with artifacts.save("name", value)',
    "set": "use sorted() or list()",
    "frozenset": "use sorted() or list()",
    "generator": "use list()",
    "dict_keys": "use list()",
    "dict_values": "use list()",
    "dict_items": "use dict()",
    "map": "use list()",
    "filter": "use list()",
    "zip": "use list()",
    "range": "use list()",
    "deque": "use list()",
    "mappingproxy": "use dict()",
    "coroutine": "it was not awaited",
    "Future": "it was not awaited",
    "Task": "it was not awaited",
}


class NotJson(Exception):
    """A value that JSON cannot say; its text names the path and the type."""


def _refuse(value):
    raise NotJson(type(value).__name__)


_write = c_make_encoder(None, _refuse, encode_basestring, None, ":", ",", False, False, False)
_decoder = JSONDecoder()
_scan = _decoder.scan_once
_decode_slowly = _decoder.decode
_get_digits = sys.get_int_max_str_digits
_set_digits = sys.set_int_max_str_digits


def encode(value, where):
    """The JSON text of a value; `where` begins the path in a refusal."""
    kind = type(value)
    if kind in _SCALARS:
        pass
    elif kind not in _CONTAINERS or not (_is_small(value) or _is_plain(value)):
        _check(value, where)
    try:
        text = "".join(_write(value, 0))
    except (ValueError, NotJson):
        _check(value, where)  # NaN and infinity, with the path
        text = _with_all_digits(lambda: "".join(_write(value, 0)))
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            _check(value, where)
            raise NotJson(f"{where}: half of a surrogate pair is not text") from None
    return text


def encode_arguments(named, where):
    """`encode` for keyword arguments: a dict whose keys are text."""
    for value in named.values():
        if type(value) not in _SCALARS:
            return encode(named, where)
    try:
        text = "".join(_write(named, 0))
    except ValueError:
        return encode(named, where)
    return text if text.isascii() else encode(named, where)


def decode(text):
    """The value of a JSON text that the host sent."""
    try:
        return _scan(text, 0)[0]
    except StopIteration:  # leading white space
        return _decode_slowly(text)
    except ValueError:  # an integer of more than 4300 digits
        return _with_all_digits(lambda: _decode_slowly(text))


def _with_all_digits(operation):
    """JSON's integers have no length limit; Python's guard stays on for the workflow's own code."""
    limit = _get_digits()
    _set_digits(0)
    try:
        return operation()
    finally:
        _set_digits(limit)


def _is_small(value):
    """What `_is_plain` says, sooner, of a value of a few containers of a few members; false of any other."""
    containers = [value]
    for container in containers:
        if len(container) > _FEW:
            return False
        if type(container) is dict:
            for key, child in container.items():
                if type(key) is not str:
                    return False
                if type(child) not in _SCALARS:
                    if type(child) not in _CONTAINERS:
                        return False
                    containers.append(child)
        else:
            for child in container:
                if type(child) not in _SCALARS:
                    if type(child) not in _CONTAINERS:
                        return False
                    containers.append(child)
        if len(containers) > _FEW:  # or it is a circle
            return False
    return True


def _is_plain(value):
    """Whether the C encoder says this exactly: builtin types, text keys, not too deep.

    It looks at one level of nesting at a time, all containers of it together, because then the loops are C's.
    """
    level = (value,)
    for _ in range(MAX_DEPTH):
        mappings, sequences = [], []
        for container in level:
            (mappings if type(container) is dict else sequences).append(container)
        if not set(map(type, _flatten(mappings))) <= _TEXT:
            return False
        children = [*_flatten(map(_values, mappings)), *_flatten(sequences)]
        kinds = set(map(type, children))
        if kinds <= _SCALARS:
            return True
        if not kinds <= _PLAIN or len(children) > _MAX_LEVEL:
            return False
        level = [child for child in children if type(child) in _CONTAINERS]
    return False


def _check(value, path, ancestors=()):
    """Walks a value and raises `NotJson` for the first thing that JSON cannot say."""
    if value is None or isinstance(value, int):
        return
    if isinstance(value, str):
        _check_text(value, path)
        return
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise NotJson(f"{path}: {float.__repr__(value)} is not JSON; use None or text")
        return
    if isinstance(value, dict):
        children = _members(value, path)
    elif isinstance(value, (list, tuple)):
        children = ((f"{path}[{index}]", child) for index, child in enumerate(value))
    else:
        raise NotJson(f"{path}: {_describe(value)}")
    if any(value is ancestor for ancestor in ancestors):
        raise NotJson(f"{path}: a circular reference is not JSON")
    if len(ancestors) >= MAX_DEPTH:
        raise NotJson(f"{_shorten(path)}: nested deeper than {MAX_DEPTH} levels")
    ancestors = (*ancestors, value)
    for child_path, child in children:
        _check(child, child_path, ancestors)


def _members(value, path):
    for key, child in value.items():
        if not isinstance(key, str):
            shown = _shorten(repr(key))
            raise NotJson(f"{path}[{shown}]: a key of type {type(key).__name__} is not JSON; use str()")
        child_path = f"{path}[{encode_basestring(_shorten(key))}]"
        _check_text(key, child_path)
        yield child_path, child


def _check_text(value, path):
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise NotJson(
                f"{path.encode(errors='backslashreplace').decode()}: "
                f"{value[error.start]!a} at index {error.start} is half of a surrogate pair, which is not text; "
                'use .encode("utf-8", "replace").decode()'
            ) from None


def _describe(value):
    kind = type(value)
    name = kind.__name__
    if isinstance(value, type):
        return f"the class {value.__name__} is not JSON"
    if hasattr(kind, "__dataclass_fields__"):
        return f"{name} is not JSON; use dataclasses.asdict()"
    if hasattr(kind, "_value2member_map_"):
        return f"{name} is not JSON; use .value"
    if callable(value):
        return f"{name} is not JSON; was a call forgotten?"
    hint = next((_HINTS[base.__name__] for base in kind.__mro__ if base.__name__ in _HINTS), None)
    return f"{name} is not JSON; {hint}" if hint else f"{name} is not JSON"


def _shorten(text, limit=200):
    return text if len(text) <= limit else f"{text[: limit // 2]}...{text[-limit // 2 :]}"

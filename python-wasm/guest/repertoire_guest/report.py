"""An analysis in the contract's types."""

import dataclasses

from componentize_py_types import Err
from wit_world.exports import guest
from wit_world.imports.types import Error, ErrorCode, Parameter

from . import jsontext
from .analysis import InvalidSource, analyze as _analyze


def analyze(source):
    """The export `analyze`: a `guest.Analysis`, or an error in WIT's terms."""
    try:
        found = _analyze(source)
    except InvalidSource as refusal:
        details = None if refusal.details is None else jsontext.encode(refusal.details, "details")
        raise Err(Error(ErrorCode.INVALID_SOURCE, _sayable(str(refusal)), details)) from None
    return guest.Analysis(
        is_async=found.is_async,
        parameters=[
            Parameter(item.name, jsontext.encode(item.schema, "schema"), item.required, item.default, _sayable(item.description))
            for item in found.parameters
        ],
        accepts_unknown=found.accepts_unknown,
        returns=jsontext.encode(found.returns, "schema"),
        returns_description=_sayable(found.returns_description),
        raises=[guest.Raises(name, _sayable(text)) for name, text in found.raises],
        signature=_sayable(found.signature),
        description=_sayable(found.description),
        docstring=_sayable(found.docstring),
        uses=guest.Uses(*(list(map(_sayable, names)) for names in dataclasses.astuple(found.uses))),
        requires=guest.Requirements(
            None if found.requires.runtime is None else _sayable(found.requires.runtime),
            [guest.Dependency(_sayable(name), _sayable(versions)) for name, versions in found.requires.dependencies],
        ),
        warnings=[guest.Warning(item.code, _sayable(item.message), item.line) for item in found.warnings],
    )


def _sayable(text):
    """A string literal may hold half a surrogate pair (`"\\ud800"`), which cannot cross the boundary."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()

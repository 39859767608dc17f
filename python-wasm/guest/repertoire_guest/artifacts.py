"""The global `artifacts`: named values that outlive the run."""

from componentize_py_types import Err
from wit_world.imports import artifacts as host

from . import errors, jsontext, records


def _ask(function, *args):
    try:
        return function(*args)
    except Err as error:
        raise errors.exception(error.value) from None


def _content(value):
    if isinstance(value, str):
        return host.Content_Text(errors.text(value, "value"))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return host.Content_Binary(bytes(value))
    try:
        return host.Content_Json(jsontext.encode(value, "value"))
    except jsontext.NotJson as refusal:
        raise errors.refused(f"artifacts.save: {refusal}") from None


class Artifacts:
    """Named values: text, bytes, or anything that JSON can say."""

    __slots__ = ()

    def save(self, name, value, description=""):
        """Saves a value; what the name held before is replaced."""
        name, description = errors.text(name, "name"), errors.text(description, "description")
        return records.artifact(_ask(host.save, name, _content(value), description))

    def load(self, name):
        """The value, as it was saved; None if there is no such artifact."""
        content = _ask(host.load, errors.text(name, "name"))
        if content is None:
            return None
        if isinstance(content, host.Content_Json):
            return jsontext.decode(content.value)
        return content.value

    def list(self):
        """All artifacts, by name, without their values."""
        return [records.artifact(item) for item in _ask(host.list)]

    def delete(self, name):
        """Deletes an artifact; False if there was none."""
        return _ask(host.delete, errors.text(name, "name"))

    def __repr__(self):
        return "<artifacts>"

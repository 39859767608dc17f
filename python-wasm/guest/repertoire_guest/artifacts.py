"""The global `artifacts`: named values that outlive the run, in versions."""

import io
from datetime import timedelta

from componentize_py_types import Err
from wit_world.imports import artifacts as host

from . import errors, jsontext, records

PIECE = 1 << 20
"""Bytes that cross the boundary at once."""


def _ask(function, *args):
    try:
        return function(*args)
    except Err as error:
        raise errors.exception(error.value) from None


def _version(value):
    if value is None:
        return None
    if type(value) is not int or not 0 < value < 2**64:
        raise errors.refused(f"version must be an int from 1 on, not {value!r:.100}")
    return value


def _milliseconds(value):
    if value is None:
        return None
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if not isinstance(seconds, (int, float)) or not 0 < seconds < 2**40:
        raise errors.refused(f"expires_in must be a number of seconds or a timedelta, more than 0, not {value!r:.100}")
    return max(1, int(seconds * 1000))


def _content(value):
    if isinstance(value, str):
        return host.Content_Text(errors.text(value, "value"))
    if isinstance(value, (bytes, bytearray, memoryview)):
        view = memoryview(value).cast("B")
        if len(view) <= PIECE:
            return host.Content_Binary(bytes(view))
        return _uploaded(bytes(view[at : at + PIECE]) for at in range(0, len(view), PIECE))
    if hasattr(value, "read"):
        return _uploaded(iter(lambda: value.read(PIECE), b""))
    if hasattr(value, "__next__"):
        return _uploaded(value)
    try:
        return host.Content_Json(jsontext.encode(value, "value"))
    except jsontext.NotJson as refusal:
        raise errors.refused(f"artifacts.save: {refusal}") from None


def _uploaded(pieces):
    """Hands bytes over piece by piece, so that they are never all in memory."""
    upload = None
    for piece in pieces:
        if not isinstance(piece, (bytes, bytearray, memoryview)):
            raise errors.refused(f"artifacts.save: a file or an iterator gives bytes, not {type(piece).__name__}; open the file in binary mode")
        view = memoryview(piece).cast("B")
        for at in range(0, len(view), PIECE):
            upload = _ask(host.append, upload, bytes(view[at : at + PIECE]))
    return host.Content_Binary(b"") if upload is None else host.Content_Uploaded(upload)


class _File(io.RawIOBase):
    """One version's content, read as it is needed."""

    def __init__(self, metadata):
        self._metadata = metadata
        self._at = 0

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=io.SEEK_SET):
        self._at = max(0, offset + (0, self._at, self._metadata.size)[whence])
        return self._at

    def tell(self):
        return self._at

    def readinto(self, buffer):
        if self._at >= self._metadata.size or len(buffer) == 0:
            return 0
        piece = _ask(host.read, self._metadata.name, self._metadata.version, self._at)[: len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


class Artifacts:
    """Named values: text, bytes, or anything that JSON can say. Saving a name anew keeps its older versions."""

    __slots__ = ()

    def save(self, name, value, description="", *, media_type="", expires_in=None):
        """Saves a new version. A binary file, or an iterator of bytes, is saved piece by piece;
        `expires_in` is a number of seconds, or a timedelta."""
        name = errors.text(name, "name")
        options = host.SaveOptions(errors.text(description, "description"), errors.text(media_type, "media_type"), _milliseconds(expires_in))
        return records.artifact(_ask(host.save, name, _content(value), options))

    def load(self, name, version=None):
        """The value, as it was saved; None if there is no such artifact."""
        found = _ask(host.load, errors.text(name, "name"), _version(version))
        if found is None:
            return None
        if isinstance(found, host.Loaded_Json):
            return jsontext.decode(found.value)
        if isinstance(found, host.Loaded_Large):
            whole, large = bytearray(found.value.size), found.value
            at = 0
            while at < large.size:
                piece = _ask(host.read, large.name, large.version, at)
                whole[at : at + len(piece)] = piece
                at += len(piece)
            return bytes(whole)
        return found.value

    def open(self, name, version=None):
        """The bytes of an artifact as a file that is read piece by piece."""
        found = self.get(name, version)
        if found is None:
            raise FileNotFoundError(2, "there is no such artifact", name)
        return io.BufferedReader(_File(found), PIECE)

    def get(self, name, version=None):
        """What is known of an artifact without loading it; None if there is no such artifact."""
        found = _ask(host.get, errors.text(name, "name"), _version(version))
        return None if found is None else records.artifact(found)

    def list(self, prefix="", *, kind="", media_type="", after="", limit=None):
        """The artifacts, by name, without their values; all, or a page of `limit` names after `after`."""
        named = [errors.text(value, where) for value, where in ((prefix, "prefix"), (kind, "kind"), (media_type, "media_type"))]
        after, wanted = errors.text(after, "after"), 2**32 - 1 if limit is None else errors.limit(limit, "limit")
        found = []
        while len(found) < wanted:
            asked = min(wanted - len(found), 1000)
            page = _ask(host.list, host.Filter(*named, after, asked))
            found += [records.artifact(item) for item in page]
            if len(page) < asked:
                break
            after = page[-1].name
        return found

    def versions(self, name):
        """The versions that are kept, the newest first, without their values."""
        return [records.artifact(item) for item in _ask(host.versions, errors.text(name, "name"))]

    def delete(self, name, version=None):
        """Deletes an artifact with all its versions, or one version; False if there was none."""
        return _ask(host.delete, errors.text(name, "name"), _version(version))

    def __repr__(self):
        return "<artifacts>"

"""An exception that nobody caught -> what the host is told of it.

The exception is a stranger: its text may be huge, its `__str__` may raise,
its chain may be endless. Nothing here may fail because of that, and what
crosses the boundary is bounded and can be said in UTF-8.
"""

import gc
import os
import sys
import traceback

from wit_world.exports.guest import Exception as WitException, Failure
from wit_world.imports.types import ErrorCode

from . import errors

MAX_TEXT = 64 * 1024
MAX_CHAIN = 16
_MARKER = "... truncated"
_RUNTIME = os.path.dirname(os.path.dirname(__file__)) + "/"
_STDLIB = os.path.dirname(traceback.__file__) + "/"

# Read past what a class may define under these names.
_cause = BaseException.__cause__.__get__
_context = BaseException.__context__.__get__
_suppresses = BaseException.__suppress_context__.__get__
_traceback = BaseException.__traceback__.__get__

_HINTS = {
    FileNotFoundError: "workflows have no file system; artifacts.save(name, value) and artifacts.load(name) keep values, "
    "io.StringIO and io.BytesIO are files in memory",
}


def of(raised, code=ErrorCode.RAISED):
    """The failure that an uncaught exception ends a call with."""
    if issubclass(type(raised), MemoryError):
        _let_go(raised)
    try:
        error = errors.origin(raised)
    except BaseException:  # a class that fights back
        error = None
    if error is not None:
        code = error.code
    try:
        exceptions = [WitException(_type_name(link), message(link)) for link in _chain(raised)]
    except BaseException:  # the memory is gone, or the exception fights back
        _let_go(raised)
        exceptions = [WitException(_name_of(type(raised)), "")]
    first = exceptions[0]
    summary = f"{first.type_name}: {first.message}" if first.message else first.type_name
    try:
        text = _bounded(_render(raised))
    except BaseException:
        _let_go(raised)
        text = f"{summary}\n"
    return Failure(
        code=code,
        message=_bounded(summary) if code is ErrorCode.RAISED else first.message,
        exceptions=exceptions,
        traceback=text,
        details=None if error is None else error.details,
    )


def message(raised):
    """An exception's text; never raises."""
    try:
        text = str(raised)
    except BaseException as error:
        text = f"<{type(error).__name__} while the message was made>"
    return _bounded(text)


def sayable(text):
    """The text with half surrogate pairs escaped, so that UTF-8 can say it."""
    if text.isascii():
        return str.__str__(text)
    return text.encode("utf-8", "backslashreplace").decode()


def bounded_repr(value):
    """A value's `repr`, bounded; never raises."""
    try:
        text = repr(value)
    except Exception as error:
        text = f"<{_name_of(type(value))}; its repr raised {type(error).__name__}>"
    return _bounded(text)


def _bounded(text):
    if len(text) > MAX_TEXT:
        text = text[: MAX_TEXT - len(_MARKER)] + _MARKER
    text = sayable(text)
    raw = text.encode() if not text.isascii() else None
    if raw is not None and len(raw) > MAX_TEXT:
        text = raw[: MAX_TEXT - len(_MARKER)].decode(errors="ignore") + _MARKER
    elif raw is None and len(text) > MAX_TEXT:
        text = text[: MAX_TEXT - len(_MARKER)] + _MARKER
    return text


def _let_go(raised):
    """Frees the locals of the frames that an exception keeps alive."""
    for link in _chain(raised):
        frames = _traceback(link)
        if frames is not None:
            traceback.clear_frames(frames)
    gc.collect()


def _chain(raised):
    """The exception, then its cause or context, and so on; members of a group follow their group."""
    links, seen, waiting = [], set(), [raised]
    while waiting and len(links) < MAX_CHAIN:
        link = waiting.pop(0)
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        links.append(link)
        if isinstance(link, BaseExceptionGroup):
            waiting.extend(link.exceptions[:MAX_CHAIN])
        cause = _cause(link)
        waiting.append(_context(link) if cause is None and not _suppresses(link) else cause)
    return links


def _name_of(kind):
    try:
        module, name = kind.__module__, kind.__qualname__
        if module in ("builtins", "__main__", "workflow"):
            return name
        package = module.partition(".")[0]
        if getattr(sys.modules.get(package), name, None) is kind:
            module = package  # json.JSONDecodeError, as one would import it
        return f"{module}.{name}"
    except BaseException:
        return "Exception"


def _type_name(raised):
    return _bounded(_name_of(type(raised)))[:500]


def _render(raised):
    """The traceback as Python prints it, from the first line of the workflow on."""
    chain = _chain(raised)
    for link in chain:
        for kind, hint in _HINTS.items():
            if type(link) is kind and hint not in getattr(link, "__notes__", ()):
                link.add_note(hint)
    if len(chain) == MAX_CHAIN:
        chain[-1].__cause__ = chain[-1].__context__ = None  # else all of an endless chain is read
    rendered = traceback.TracebackException.from_exception(raised, compact=True)
    _clean(rendered, 0)
    lines, length = [], 0
    for line in rendered.format():
        if length < MAX_TEXT:
            lines.append(line)
        length += len(line)
        last = line
    if length >= MAX_TEXT:
        kept = "".join(lines)[: MAX_TEXT * 3 // 4]
        return f"{kept}\n{_MARKER}\n{last[-MAX_TEXT // 8 :]}"
    return "".join(lines)


def _clean(rendered, depth):
    """Takes this runtime's frames out of a rendered exception and all that hang on it."""
    if rendered is None or depth > 2 * MAX_CHAIN:
        return
    frames = [frame for frame in rendered.stack if not frame.filename.startswith(_RUNTIME)]
    first = next((index for index, frame in enumerate(frames) if _is_own(frame.filename)), None)
    frames = frames[first:] if first is not None or depth else []
    for frame in frames:
        if frame.filename.startswith(_STDLIB):
            frame.filename = "<python>/" + frame.filename[len(_STDLIB) :]
    rendered.stack = _Stack(frames)
    _clean(rendered.__cause__, depth + 1)
    _clean(rendered.__context__, depth + 1)
    for member in rendered.exceptions or ():
        _clean(member, depth + 1)


class _Stack(traceback.StackSummary):
    """Formats each line of source once: Python's own formats all thousand frames of an endless recursion
    before it leaves most of them out, which takes longer than the recursion did."""

    def format_frame_summary(self, frame, **options):
        formatted = self.__dict__.setdefault("formatted", {})
        key = (frame.filename, frame.lineno, frame.name, frame.colno, frame.end_lineno, frame.end_colno)
        if key not in formatted:
            formatted[key] = super().format_frame_summary(frame, **options)
        return formatted[key]


def _is_own(filename):
    return filename.startswith(("<workflow", "<cell"))

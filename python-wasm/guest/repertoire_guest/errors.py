"""WIT errors to Python exceptions, and back for those that nobody caught."""

import repertoire
from wit_world.imports.types import Error, ErrorCode

from . import jsontext

_CLASSES = {
    ErrorCode.NOT_FOUND: repertoire.NotFoundError,
    ErrorCode.ALREADY_EXISTS: repertoire.AlreadyExistsError,
    ErrorCode.CONFLICT: repertoire.ConflictError,
    ErrorCode.INVALID_ARGUMENT: repertoire.InvalidArgumentError,
    ErrorCode.INVALID_SOURCE: repertoire.InvalidSourceError,
    ErrorCode.INVALID_RESULT: repertoire.InvalidResultError,
    ErrorCode.DENIED: repertoire.DeniedError,
    ErrorCode.RAISED: repertoire.WorkflowError,
    ErrorCode.FUEL_EXHAUSTED: repertoire.WorkflowError,
    ErrorCode.MEMORY_EXCEEDED: repertoire.MemoryExceededError,
    ErrorCode.TIMED_OUT: repertoire.TimedOutError,
    ErrorCode.OUTPUT_EXCEEDED: repertoire.LimitExceededError,
    ErrorCode.CALLS_EXCEEDED: repertoire.LimitExceededError,
    ErrorCode.DEPTH_EXCEEDED: repertoire.DepthExceededError,
    ErrorCode.STACK_EXHAUSTED: repertoire.WorkflowError,
    ErrorCode.TRAPPED: repertoire.WorkflowError,
    ErrorCode.CANCELLED: repertoire.RepertoireError,
    ErrorCode.QUOTA_EXCEEDED: repertoire.QuotaExceededError,
    ErrorCode.BUSY: repertoire.BusyError,
    ErrorCode.TOOL_FAILED: repertoire.ToolError,
    ErrorCode.UNAVAILABLE: repertoire.UnavailableError,
    ErrorCode.INTERNAL: repertoire.RepertoireError,
}

_raised_by_host = "_repertoire_error"
"""Where an exception keeps the WIT error it was made of: one that a workflow
makes itself is an exception like any other, and ends the run as `raised`."""


def exception(error):
    """The exception for a host call's error."""
    details = None
    if error.details is not None:
        try:
            details = jsontext.decode(error.details)
        except ValueError:
            details = {"text": error.details}
    kebab = error.code.name.lower().replace("_", "-")
    raised = _CLASSES[error.code](error.message, code=kebab, details=details)
    raised.__dict__[_raised_by_host] = error
    if isinstance(details, dict) and isinstance(details.get("traceback"), str):
        raised.add_note("In the invoked workflow:\n\n" + details["traceback"].rstrip())
    return raised


def origin(raised):
    """The WIT error that an exception was made of, or None."""
    if isinstance(raised, repertoire.RepertoireError):
        return raised.__dict__.get(_raised_by_host)
    return None


def refused(message):
    """The exception for what the host would refuse, were it asked."""
    return exception(Error(ErrorCode.INVALID_ARGUMENT, message, None))


def arguments(named, where):
    """The JSON text of a call's keyword arguments."""
    try:
        return jsontext.encode_arguments(named, "arguments")
    except jsontext.NotJson as refusal:
        raise refused(f"{where}: {refusal}") from None


def text(value, where):
    """Checks what crosses the boundary as a string: a wrong type or half a
    surrogate pair would end the instance there, not raise."""
    if type(value) is not str:
        if not isinstance(value, str):
            raise refused(f"{where} must be str, not {type(value).__name__}")
        value = str.__str__(value)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise refused(f"{where} holds half of a surrogate pair at index {error.start}, which is not text") from None
    return value


def limit(value, where):
    """Checks a number of results."""
    if not isinstance(value, int) or not 0 <= value < 2**32:
        raise refused(f"{where} must be an int from 0 to 4294967295, not {value!r:.100}")
    return int(value)


def keywords_only(where):
    """What `tools.curl("https://...")` gets for its positional argument."""
    return refused(f"{where} takes keyword arguments only, for example {where}(url=...)")

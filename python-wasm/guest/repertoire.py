"""The module that workflows may import: the exceptions of host calls.

    from repertoire import NotFoundError, ToolError

`tools`, `workflows` and `artifacts` are globals of every workflow and need no
import; they can be imported from here all the same, which pleases linters.

Every exception is a `RepertoireError`, which is a `RuntimeError`; it is also
an instance of whatever builtin a Python programmer would have caught anyway:
`LookupError` for a name that does not exist, `PermissionError` for a missing
grant, `TimeoutError` for a call that took too long.
"""


class RepertoireError(RuntimeError):
    """A host call did not succeed.

    `code` is stable and kebab-case (`not-found`, `tool-failed`, ...);
    `details` holds what a program may want to know, for example a failed
    tool's `status` and `stderr`.
    """

    code = "internal"

    def __init__(self, message="", *, code=None, details=None):
        super().__init__(message)
        if code is not None:
            self.code = code
        self.details = {} if details is None else details

    def _detail(self, name, otherwise):
        return self.details.get(name, otherwise) if isinstance(self.details, dict) else otherwise

    @property
    def status(self):
        """A failed tool's exit status or HTTP status; None if there is none."""
        return self._detail("status", None)

    @property
    def stderr(self):
        """The end of what a failed tool said: on standard error, or as a response's body."""
        return self._detail("stderr", None) or self._detail("body", None) or ""

    @property
    def retryable(self):
        """Whether the same call may succeed if it is made again."""
        return self._detail("retryable", self.code == "busy") is True


class NotFoundError(RepertoireError, LookupError):
    """No workflow, tool, recipe or artifact has this name."""

    code = "not-found"


class AlreadyExistsError(RepertoireError, ValueError):
    """The name is taken. Workflows are immutable: delete it, then create it."""

    code = "already-exists"


class InvalidArgumentError(RepertoireError, TypeError, ValueError):
    """A name, an argument or an option is malformed."""

    code = "invalid-argument"


class InvalidSourceError(RepertoireError, ValueError):
    """A workflow's source does not parse, or has no usable `run`."""

    code = "invalid-source"


class InvalidResultError(RepertoireError, TypeError, ValueError):
    """A result cannot be said in JSON."""

    code = "invalid-result"


class ConflictError(RepertoireError):
    """Others depend on it, or somebody else has changed it meanwhile."""

    code = "conflict"


class BrokenWorkflowsWarning(UserWarning):
    """A workflow was deleted that others invoke."""


class DeniedError(RepertoireError, PermissionError):
    """The caller holds no grant for this."""

    code = "denied"


class ToolError(RepertoireError):
    """A tool was started and did not succeed."""

    code = "tool-failed"


class WorkflowError(RepertoireError):
    """An invoked workflow raised an exception, or was stopped."""

    code = "raised"


class TimedOutError(RepertoireError, TimeoutError):
    """The call took longer than it may."""

    code = "timed-out"


class MemoryExceededError(RepertoireError, MemoryError):
    """An invoked workflow wanted more memory than it may have."""

    code = "memory-exceeded"


class DepthExceededError(RepertoireError, RecursionError):
    """Workflows invoke workflows deeper than the run may."""

    code = "depth-exceeded"


class LimitExceededError(RepertoireError):
    """Another limit of the run was reached; `code` names it."""

    code = "calls-exceeded"


class QuotaExceededError(RepertoireError, OSError):
    """The tenant's artifacts take all the room that they may; delete some."""

    code = "quota-exceeded"


class BusyError(RepertoireError):
    """The host has no room for this now; try again later."""

    code = "busy"


class UnavailableError(RepertoireError):
    """Something that the host depends on is missing or out of order."""

    code = "unavailable"

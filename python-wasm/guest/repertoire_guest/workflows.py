"""The global `workflows`: the library that the running workflow belongs to."""

import warnings

import repertoire
from componentize_py_types import Err
from wit_world.imports import workflows as host

from . import errors, event_loop, glue, jsontext, records

_call_import = glue.call_import
_INVOKE = glue.number(host.invoke)
_START = glue.number(host.start_invoke)
_arguments = errors.arguments
_decode = jsontext.decode
_answer = event_loop.answer


def _ask(function, *args):
    try:
        return function(*args)
    except Err as error:
        raise errors.exception(error.value) from None


def _invoke_now(name, arguments, pinned):
    answer = _call_import(_INVOKE, (name, _arguments(arguments, name), pinned))
    if type(answer) is Err:
        raise errors.exception(answer.value)
    return _decode(answer.value)


def _invoke_later(name, arguments, pinned):
    return _answer(_start, name, _arguments(arguments, name), pinned)


def _start(name, text, pinned):
    answer = _call_import(_START, (name, text, pinned))
    if type(answer) is Err:
        raise errors.exception(answer.value)
    return answer.value


class _Workflow:
    """`workflows.fetch_json`: a saved workflow, to be called by its name."""

    __slots__ = ("_name", "_pinned")

    def __init__(self, name, pinned):
        self._name = name
        self._pinned = pinned

    def __call__(self, /, *positional, **arguments):
        if positional:
            raise errors.keywords_only(str(self))
        return _invoke_now(self._name, arguments, self._pinned)

    def call_async(self, /, *positional, **arguments):
        """Like calling it, but other tasks go on while it runs."""
        if positional:
            raise errors.keywords_only(str(self))
        return _invoke_later(self._name, arguments, self._pinned)

    def __str__(self):
        return f"workflows.{self._name}"

    def __repr__(self):
        return f"<{self}>"


class _Invoking:
    """What calls saved workflows by their names."""

    __slots__ = ()
    _pinned = False

    def invoke(self, workflow_name, /, *positional, **arguments):
        """Runs a workflow in a sandbox of its own and returns its result."""
        if positional:
            raise errors.keywords_only(f"workflows.{workflow_name}")
        return _invoke_now(errors.text(workflow_name, "workflow_name"), arguments, self._pinned)

    def invoke_async(self, workflow_name, /, *positional, **arguments):
        """Like `invoke`, but other tasks go on while it runs."""
        if positional:
            raise errors.keywords_only(f"workflows.{workflow_name}")
        return _invoke_later(errors.text(workflow_name, "workflow_name"), arguments, self._pinned)

    def __getattr__(self, name):
        if name[:1] == "_":
            raise AttributeError(f"workflows has no attribute {name!r}", name=name, obj=self)
        return _Workflow(errors.text(name, "a workflow's name"), self._pinned)

    def __getitem__(self, name):
        return _Workflow(errors.text(name, "a workflow's name"), self._pinned)


class _Pinned(_Invoking):
    """`workflows.pinned`: what is invoked through it invokes the versions that it was created against."""

    __slots__ = ()
    _pinned = True

    def __repr__(self):
        return "<workflows.pinned>"


class Workflows(_Invoking):
    """The saved workflows: create, find, invoke, delete."""

    __slots__ = ()
    pinned = _Pinned()

    def create(self, name, source, description=""):
        """Saves a workflow, which is not run. Raises AlreadyExistsError if the name is taken."""
        return records.workflow(
            _ask(
                host.create,
                errors.text(name, "name"),
                errors.text(source, "source"),
                errors.text(description, "description"),
            )
        )

    def get(self, name):
        """The workflow of that name, or None."""
        found = _ask(host.get, errors.text(name, "name"))
        return None if found is None else records.workflow(found)

    def list(self):
        """All workflows, by name."""
        return [records.workflow(item) for item in _ask(host.list)]

    def search(self, query, limit=10):
        """The workflows that answer `query` best, by meaning and by words, best first: each with a
        `score`, and the words of the query that it `matched`."""
        found = _ask(host.search, errors.text(query, "query"), errors.limit(limit, "limit"))
        return [records.hit(item) for item in found]

    def delete(self, name, if_unused=False):
        """Deletes a workflow; False if there was none. Warns of those that invoke it, which are
        broken now; with `if_unused`, raises ConflictError instead of deleting it."""
        name = errors.text(name, "name")
        deletion = _ask(host.delete, name, bool(if_unused))
        if deletion.broken:
            named = ", ".join(deletion.broken[:5])
            more = f" and {len(deletion.broken) - 5} more" if len(deletion.broken) > 5 else ""
            warnings.warn(f"{name} is gone, and {named}{more} invoke it", repertoire.BrokenWorkflowsWarning, stacklevel=2)
        return deletion.existed

    def history(self, name):
        """Everything that a name has meant, the newest first; all but what it means now with a `deleted_at_ms`."""
        return [records.creation(item) for item in _ask(host.history, errors.text(name, "name"))]

    def restore(self, name, version):
        """Makes a name mean again what it meant as that version, of which the first digits suffice."""
        return records.workflow(_ask(host.restore, errors.text(name, "name"), errors.text(version, "version")))

    def __repr__(self):
        return "<workflows>"

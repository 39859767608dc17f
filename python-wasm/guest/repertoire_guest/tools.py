"""The global `tools`: `tools.curl(url=...)`, `tools.curl.get(url=...)`, `await tools.curl.get.call_async(url=...)`.

A name that Python cannot say, or that is taken here (`list`, `search`, `call_async`), is reached
with brackets: `tools["list"]`, `tools.curl["list"]`.
"""

from componentize_py_types import Err
from repertoire import NotFoundError
from wit_world.imports import tools as host

from . import errors, event_loop, jsontext, records

_call = host.call
_start = host.start
_list = host.list
_search = host.search
_arguments = errors.arguments
_decode = jsontext.decode
_answer = event_loop.answer


def _named(name, owner):
    if name[:1] == "_":
        raise AttributeError(f"{owner} has no attribute {name!r}", name=name)
    return errors.text(name, "a tool's name")


class _Callable:
    """One way to call a tool."""

    __slots__ = ("_tool", "_name")

    def __init__(self, tool, name):
        self._tool = tool
        self._name = name

    def __call__(self, /, *positional, **arguments):
        if positional:
            raise errors.keywords_only(str(self))
        text = _arguments(arguments, self)
        try:
            answer = _call(self._tool, self._name, text)
        except Err as error:
            raise errors.exception(error.value) from None
        return _decode(answer)

    async def call_async(self, /, *positional, **arguments):
        """Like calling it, but other tasks go on while the tool works."""
        if positional:
            raise errors.keywords_only(str(self))
        text = _arguments(arguments, self)
        try:
            call_id = _start(self._tool, self._name, text)
        except Err as error:
            raise errors.exception(error.value) from None
        return await _answer(call_id)

    def __str__(self):
        return f"tools.{self._tool}.{self._name}" if self._name else f"tools.{self._tool}"

    def __repr__(self):
        return f"<{self}>"


class _Tool(_Callable):
    """A tool: callable itself, and its recipes are attributes."""

    __slots__ = ()

    def __getattr__(self, name):
        return _Callable(self._tool, _named(name, self))

    def __getitem__(self, name):
        return _Callable(self._tool, errors.text(name, "a recipe's name"))

    def list(self):
        """This tool's callables, with their parameters."""
        for tool in _list():
            if tool.name == self._tool:
                return [records.callable_(item) for item in tool.callables]
        raise NotFoundError(f"no tool is called {self._tool!r}; tools.list() shows those there are")


class Tools:
    """The tools that this workflow may call."""

    __slots__ = ()

    def __getattr__(self, name):
        return _Tool(_named(name, "tools"), "")

    def __getitem__(self, name):
        return _Tool(errors.text(name, "a tool's name"), "")

    def list(self):
        """All tools that may be called, by name."""
        return [records.tool(tool) for tool in _list()]

    def search(self, query, limit=10):
        """The tools nearest in meaning to `query`, best first."""
        query, limit = errors.text(query, "query"), errors.limit(limit, "limit")
        try:
            found = _search(query, limit)
        except Err as error:
            raise errors.exception(error.value) from None
        return [records.tool(tool) for tool in found]

    def __repr__(self):
        return "<tools>"

"""The global `tools`: `tools.curl(url=...)`, `tools.curl.get(url=...)`, `await tools.curl.get.call_async(url=...)`.

A name that Python cannot say, or that is taken here (`list`, `search`, `call_async`), is reached
with brackets: `tools["list"]`, `tools.curl["list"]`.
"""

from componentize_py_types import Err
from repertoire import NotFoundError
from wit_world.imports import tools as host

from . import errors, event_loop, glue, jsontext, records

_call_import = glue.call_import
_CALL = glue.number(host.call)
_START = glue.number(host.start)
_list = host.list
_search = host.search
_arguments = jsontext.encode_arguments
_scan = jsontext._scan
_decode = jsontext.decode
_answer = event_loop.answer


def _named(name, owner):
    if name[:1] == "_":
        raise AttributeError(f"{owner} has no attribute {name!r}", name=name)
    return errors.text(name, "a tool's name")


def _functions(tool, name):
    """The functions that call a tool: one that blocks, one that does not. What they need is bound in
    them, because a call is short enough for each look-up to count."""
    where = f"tools.{tool}.{name}" if name else f"tools.{tool}"

    def call(*positional, **arguments):
        if positional:
            raise errors.keywords_only(where)
        try:
            text = _arguments(arguments, "arguments")
        except jsontext.NotJson:
            text = errors.arguments(arguments, where)
        answer = _call_import(_CALL, (tool, name, text))
        if type(answer) is Err:
            raise errors.exception(answer.value)
        answer = answer.value
        try:
            return _scan(answer, 0)[0]
        except (StopIteration, ValueError):
            return _decode(answer)

    def start(text):
        answer = _call_import(_START, (tool, name, text))
        if type(answer) is Err:
            raise errors.exception(answer.value)
        return answer.value

    def call_async(*positional, **arguments):
        """Like calling it, but other tasks go on while the tool works."""
        if positional:
            raise errors.keywords_only(where)
        try:
            text = _arguments(arguments, "arguments")
        except jsontext.NotJson:
            text = errors.arguments(arguments, where)
        return _answer(start, text)

    return call, call_async


def _callable(tool, name):
    """A recipe, as an attribute of its tool."""
    call, call_async = _functions(tool, name)
    call.__name__ = name
    call.__qualname__ = f"tools.{tool}.{name}"
    call.__module__ = None
    call.call_async = call_async
    return call


class _Tool:
    """A tool: callable itself, and its recipes are attributes. They are kept: using one again makes nothing anew."""

    def __init__(self, tool):
        self._tool = tool
        self._call, self.call_async = _functions(tool, "")

    def __call__(self, /, *positional, **arguments):
        return self._call(*positional, **arguments)

    def __getattr__(self, name):
        made = self.__dict__[name] = _callable(self._tool, _named(name, self))
        return made

    def __getitem__(self, name):
        return _callable(self._tool, errors.text(name, "a recipe's name"))

    def list(self):
        """This tool's callables, with their parameters."""
        for tool in _list():
            if tool.name == self._tool:
                return [records.callable_(item) for item in tool.callables]
        raise NotFoundError(f"no tool is called {self._tool!r}; tools.list() shows those there are")

    def __str__(self):
        return f"tools.{self._tool}"

    def __repr__(self):
        return f"<{self}>"


class Tools:
    """The tools that this workflow may call."""

    def __getattr__(self, name):
        made = self.__dict__[name] = _Tool(_named(name, "tools"))
        return made

    def __getitem__(self, name):
        return _Tool(errors.text(name, "a tool's name"))

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

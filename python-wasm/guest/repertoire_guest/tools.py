"""The global `tools`: `tools.curl(url=...)`, `tools.curl.get(url=...)`, `await tools.curl.get.call_async(url=...)`.

A name that Python cannot say, or that is taken here (`list`, `search`, `call_async`), is reached
with brackets: `tools["list"]`, `tools.curl["list"]`.
"""

import builtins

from componentize_py_types import Err
from repertoire import NotFoundError, RepertoireError
from wit_world.imports import tools as host

from . import errors, event_loop, glue, jsontext, records, signatures

_call_import = glue.call_import
_CALL = glue.number(host.call)
_START = glue.number(host.start)
_list = host.list
_search = host.search
_get = host.get
_arguments = jsontext.encode_arguments
_scan = jsontext._scan
_decode = jsontext.decode
_answer = event_loop.answer


def _named(name, owner):
    if name[:1] == "_":
        raise AttributeError(f"{owner} has no attribute {name!r}", name=name)
    return errors.text(name, "a tool's name")


def _described(name):
    try:
        return _get(name)
    except Err as error:
        raise errors.exception(error.value) from None


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


class _Callable:
    """One way to call a tool."""

    __slots__ = ("_tool", "_name", "_call", "call_async")

    def __init__(self, tool, name):
        self._tool = tool
        self._name = name
        self._call, self.call_async = _functions(tool, name)

    def __call__(self, /, *positional, **arguments):
        return self._call(*positional, **arguments)

    def __str__(self):
        return f"tools.{self._tool}.{self._name}" if self._name else f"tools.{self._tool}"

    def _described(self):
        """What the host says of it: its tool, and the callable if that has it."""
        tool = _described(self._tool)
        return tool, next((item for item in tool.callables if item.name == self._name), None)

    def __repr__(self):
        try:
            tool, found = self._described()
        except RepertoireError:
            found = None
        if found is None:
            return f"<{self}>"
        return f"<{self}{signatures.signature(found)}>"

    @property
    def __doc__(self):
        tool, found = self._described()
        if found is None:
            raise NotFoundError(f"{self} does not exist; tools.{self._tool}.list() shows what does")
        return signatures.documentation(str(self), found, found.description or tool.description)

    def __dir__(self):
        return ["call_async"]


class _Tool(_Callable):
    """A tool: callable itself, and its recipes are attributes. They are kept: using one again makes nothing anew."""

    def __init__(self, tool):
        super().__init__(tool, "")

    @property
    def __doc__(self):
        tool = _described(self._tool)
        lines = [f"tools.{tool.name}: {tool.description}".rstrip(": ")]
        for item in tool.callables:
            name = f"tools.{tool.name}.{item.name}" if item.name else f"tools.{tool.name}"
            lines.append(signatures.documentation(name, item, item.description if item.name else ""))
        return "\n\n".join(lines)

    def __dir__(self):
        return ["call_async", "list", *(item.name for item in _described(self._tool).callables if item.name)]

    def __getattr__(self, name):
        made = self.__dict__[name] = _Callable(self._tool, _named(name, self))
        return made

    def __getitem__(self, name):
        return _Callable(self._tool, errors.text(name, "a recipe's name"))

    def list(self):
        """This tool's callables, with their parameters."""
        return [records.callable_(item) for item in _described(self._tool).callables]


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

    def __dir__(self):
        return ["list", "search", *(tool.name for tool in _list())]

    def __repr__(self):
        return "<tools>"


class _Help:
    """`help(tools.curl)` prints what there is to know of a tool; anything else is pydoc's."""

    def __call__(self, thing=None):
        if thing is None or isinstance(thing, Tools):
            lines = [f"tools.{tool.name}: {tool.description}" for tool in _list()]
            print("\n".join(lines or ["there are no tools"]))
        elif isinstance(thing, _Callable):
            print(thing.__doc__)
        else:
            import pydoc

            print(pydoc.render_doc(thing, renderer=pydoc.plaintext))

    def __repr__(self):
        return "help(thing) prints what there is to know of it, for example help(tools)"


builtins.help = _Help()

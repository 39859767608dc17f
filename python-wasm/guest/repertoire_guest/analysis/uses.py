"""The tools, workflows and artifacts that a source names in the text of its calls."""

import ast
from dataclasses import dataclass, field

_ROOTS = ("tools", "workflows", "artifacts")
_TOOLS_OWN = {"list", "search"}
_WORKFLOWS_OWN = {"create", "get", "list", "search", "delete", "history", "restore", "invoke", "invoke_async"}
_TAKE_A_NAME = {
    "workflows": {"invoke", "invoke_async"},
    "artifacts": {"save", "load", "open", "get", "versions", "delete"},
}
_REACH_ANYTHING = {"eval", "exec", "__import__", "globals", "locals", "vars", "compile"}


@dataclass
class Uses:
    """Names, sorted."""

    tools: list[str] = field(default_factory=list)
    workflows: list[str] = field(default_factory=list)
    artifacts: list[str] = field(default_factory=list)
    computed: list[str] = field(default_factory=list)


def find(tree):
    """All that a source names; `computed` says where it may reach more by computing names."""
    named = {root: set() for root in _ROOTS}
    computed = set()
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        root, names = _unpinned(*_chain(node))
        if root == "tools" and names and names[0] not in _TOOLS_OWN:
            named["tools"].add(_tool(names))
        elif root == "workflows" and names and names[0] not in _WORKFLOWS_OWN:
            named["workflows"].add(names[0])
        elif root and not names and not isinstance(getattr(node, "ctx", None), ast.Store):
            computed.add(root)  # handed on, or asked for a name that is no literal
        if isinstance(node, ast.Call):
            _called(node, named, computed)
        elif _imports_the_contract(node) or isinstance(node, ast.Name) and node.id in _REACH_ANYTHING:
            computed.update(_ROOTS)
        if root:
            continue
        waiting.extend(ast.iter_child_nodes(node))
    return Uses(*(sorted(named[root]) for root in _ROOTS), sorted(computed))


def _tool(names):
    names = names[:2]
    if names[-1] in ("call_async", "list"):
        names = names[:1]
    return ".".join(names)


def _called(call, named, computed):
    """`workflows.invoke("name", ...)`, `artifacts.load("name")`"""
    root, names = _unpinned(*_chain(call.func))
    if len(names) != 1 or names[0] not in _TAKE_A_NAME.get(root, ()):
        return
    given = call.args[0] if call.args else next((item.value for item in call.keywords if item.arg == "name"), None)
    if isinstance(given, ast.Constant) and isinstance(given.value, str):
        named[root].add(given.value)
    else:
        computed.add(root)


def _imports_the_contract(node):
    if isinstance(node, ast.Import):
        return any(alias.name.partition(".")[0] in ("wit_world", "importlib") for alias in node.names)
    return isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in ("wit_world", "importlib")


def _unpinned(root, names):
    """`workflows.pinned.fetch_json` names what `workflows.fetch_json` does."""
    return root, names[1:] if root == "workflows" and names[:1] == ["pinned"] else names


def _chain(node):
    """`("tools", ["curl", "get"])` for `tools.curl.get`, `tools["curl"].get` and `getattr(tools, "curl").get`."""
    names = []
    while True:
        if isinstance(node, ast.Attribute):
            names.append(node.attr)
            node = node.value
        elif isinstance(node, ast.Subscript) and _text(node.slice) is not None:
            names.append(_text(node.slice))
            node = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr" and len(node.args) >= 2:
            name = _text(node.args[1])
            if name is None:
                return "", []
            names.append(name)
            node = node.args[0]
        elif isinstance(node, ast.Name) and node.id in _ROOTS:
            return node.id, names[::-1]
        else:
            return "", []


def _text(node):
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None

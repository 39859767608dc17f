"""The tools, workflows and artifacts that a source names in the text of its calls."""

import ast
from dataclasses import dataclass, field

_TOOLS_OWN = {"list", "search"}
_WORKFLOWS_OWN = {"create", "get", "list", "search", "delete", "history", "restore", "invoke", "invoke_async"}


@dataclass
class Uses:
    """Names, sorted."""

    tools: list[str] = field(default_factory=list)
    workflows: list[str] = field(default_factory=list)
    artifacts: list[str] = field(default_factory=list)


def find(tree):
    """All that a source names; it may reach more by computing names."""
    tools, workflows, artifacts = set(), set(), set()
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        root, names = _unpinned(*_chain(node))
        if root == "tools" and names and names[0] not in _TOOLS_OWN:
            tools.add(_tool(names))
        elif root == "workflows" and names and names[0] not in _WORKFLOWS_OWN:
            workflows.add(names[0])
        if isinstance(node, ast.Call):
            _literal_name(node, workflows, artifacts)
        if root:
            continue
        waiting.extend(ast.iter_child_nodes(node))
    return Uses(sorted(tools), sorted(workflows), sorted(artifacts))


def _tool(names):
    names = names[:2]
    if names[-1] in ("call_async", "list"):
        names = names[:1]
    return ".".join(names)


def _literal_name(call, workflows, artifacts):
    """`workflows.invoke("name", ...)`, `artifacts.load("name")`"""
    root, names = _unpinned(*_chain(call.func))
    given = call.args[0] if call.args else next((item.value for item in call.keywords if item.arg == "name"), None)
    if len(names) != 1 or not (isinstance(given, ast.Constant) and isinstance(given.value, str)):
        return
    if root == "workflows" and names[0] in ("invoke", "invoke_async") and call.args:
        workflows.add(given.value)
    elif root == "artifacts" and names[0] in ("save", "load", "delete"):
        artifacts.add(given.value)


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
        elif isinstance(node, ast.Name) and node.id in ("tools", "workflows", "artifacts"):
            return node.id, names[::-1]
        else:
            return "", []


def _text(node):
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None

from __future__ import annotations

def run(a: "list[int]", b: Unknown, c: "not a type (") -> "dict":
    return {}

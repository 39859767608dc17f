"""A host in Python: runs the component's conformance cases, with the package `wasmtime` and nothing else.

    python host.py COMPONENT CASES [COMPILED]

One line of JSON a case goes to standard output. COMPILED keeps what is compiled from one time to the next: a host has to
trust it as it trusts its own code. There are no limits here; the crate `repertoire` is what a host looks like that runs
code which it does not trust.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from wasmtime import Config, Engine, Store, WasiConfig, WasmtimeError
from wasmtime.component import Component, Linker, Record, Variant

PACKAGE = "repertoire:workflow"
VERSION = "0.1.0"
TAGGED = {"tools": {"get"}, "artifacts": {"save", "get"}, "workflows": {"create", "get", "restore"}}
"""Functions whose answer and whose error are both records: which one it is has to be said."""


def record(**fields):
    """A record: WIT's names have hyphens where Python's have underscores."""
    made = Record()
    for name, value in fields.items():
        setattr(made, name.replace("_", "-"), value)
    return made


def error(code, message):
    return record(code=code, message=message, details=None)


def said(function):
    """The function, with its answer as the result type's `ok` or `err`."""

    def call(*arguments):
        answer = function(*arguments)
        return Variant("err" if isinstance(answer, Record) and hasattr(answer, "code") else "ok", answer)

    return call


class Host:
    """What a guest may reach: one tool, a library and artifacts, all in memory, of one case."""

    def __init__(self):
        self.started = 0
        self.done = []
        self.artifacts = {}

    # calls
    def wait(self, _store, timeout):
        if not self.done and timeout is not None:
            time.sleep(timeout / 1e9)  # nothing is in flight that is not done
        done, self.done = self.done, []
        return done

    def cancel(self, _store, call):
        self.done = [item for item in self.done if item.id != call]

    # tools
    def list_tools(self, _store):
        return [self._tool()]

    def get_tool(self, _store, name):
        return self._tool() if name == "test" else error("not-found", f"there is no tool {name}")

    def search_tools(self, _store, _query, _limit):
        return [self._tool()]

    def call(self, _store, tool, recipe, arguments):
        if tool != "test":
            return error("not-found", f"there is no tool {tool}")
        if recipe == "echo":
            return arguments
        if recipe == "fail":
            return error("tool-failed", json.loads(arguments)["message"])
        return error("not-found", f"the tool test has no recipe {recipe}")

    def start(self, store, tool, recipe, arguments):
        self.started += 1
        self.done.append(record(id=self.started, answer=self.call(store, tool, recipe, arguments)))
        return self.started

    @staticmethod
    def _tool():
        parameter = record(name="x", schema="{}", required=True, default_value=None, description="")
        message = record(name="message", schema='{"type": "string"}', required=True, default_value=None, description="")
        recipes = [
            record(name="echo", description="Answers what it is given", parameters=[parameter]),
            record(name="fail", description="Fails with this message", parameters=[message]),
        ]
        return record(name="test", description="Does what a test asks for", tags=["test"], callables=recipes)

    # artifacts: JSON ones, the newest version of each
    def save(self, _store, name, content, options):
        if content.tag != "json":
            return error("invalid-argument", "this host keeps JSON only")
        version = self.artifacts[name][0] + 1 if name in self.artifacts else 1
        self.artifacts[name] = (version, content.payload, options.description)
        return self._metadata(name)

    def load(self, _store, name, version):
        kept = self.artifacts.get(name)
        if kept is None or version not in (None, kept[0]):
            return None
        return Variant("json", kept[1])

    def get(self, _store, name, version):
        kept = self.artifacts.get(name)
        return None if kept is None or version not in (None, kept[0]) else self._metadata(name)

    def list(self, _store, filter):
        return [self._metadata(name) for name in sorted(self.artifacts) if name.startswith(filter.prefix)]

    def delete(self, _store, name, _version):
        return self.artifacts.pop(name, None) is not None

    def _metadata(self, name):
        version, content, description = self.artifacts[name]
        return record(
            name=name, version=version, kind="json", media_type="application/json", description=description, size=len(content.encode()),
            digest="", created_at_ms=0, expires_at_ms=None, run_id="",
        )  # fmt: skip

    def refuse(self, _store, *_arguments):
        return error("denied", "this host has no library")

    def define(self, linker):
        """Puts the world's imports where the component finds them."""
        refused = self.refuse
        interfaces = {
            "calls": {"wait": self.wait, "cancel": self.cancel},
            "tools": {
                "list": self.list_tools, "get": self.get_tool, "search": self.search_tools, "call": self.call, "start": self.start,
            },
            "workflows": dict.fromkeys(
                ["create", "get", "list", "search", "delete", "history", "restore", "invoke", "start-invoke"], refused
            ),
            "artifacts": {
                "append": refused, "save": self.save, "load": self.load, "read": refused, "get": self.get, "list": self.list,
                "versions": refused, "delete": self.delete,
            },
            "images": {"providing": lambda _store, _module: []},
        }  # fmt: skip
        with linker.root() as root:
            for name, functions in interfaces.items():
                with root.add_instance(f"{PACKAGE}/{name}@{VERSION}") as interface:
                    for function, implementation in functions.items():
                        tagged = function in TAGGED.get(name, ())
                        interface.add_func(function, said(implementation) if tagged else implementation)


class Instance:
    """One instance, for one case."""

    def __init__(self, engine, component):
        linker = Linker(engine)
        linker.add_wasip2()
        Host().define(linker)
        self.store = Store(engine)
        self.output = tempfile.NamedTemporaryFile()
        wasi = WasiConfig()
        wasi.stdout_file = self.output.name
        self.store.set_wasi(wasi)
        self.instance = linker.instantiate(self.store, component)
        self.guest = self.instance.get_export_index(self.store, f"{PACKAGE}/guest@{VERSION}")

    def call(self, name, *arguments):
        index = self.instance.get_export_index(self.store, name, self.guest)
        function = self.instance.get_func(self.store, index)
        answer = function(self.store, *arguments)
        function.post_return(self.store)
        # A result whose two sides are both records says which it is; others are told by their types.
        return answer.payload if isinstance(answer, Variant) else answer

    def stdout(self):
        return Path(self.output.name).read_text()


def perform(instance, case):
    """Does what a case says, and says what came of it."""
    if "source" in case:
        source, arguments = case["source"], json.dumps(case.get("arguments", {}))
        if case.get("analyze"):
            found = instance.call("analyze", source)
            if hasattr(found, "code"):
                return {"error": found.code}
            return {"signature": found.signature, "tools": found.uses.tools, "description": found.description}
        code = instance.call("compile", case["name"], source) if case.get("compile") else None
        return outcome(instance.call("run", record(name=case["name"], source=source, arguments=arguments, code=code)))
    answers = [outcome(instance.call("execute", cell)) for cell in case["cells"]]
    return answers[-1]


def outcome(answer):
    if hasattr(answer, "value"):
        return {"value": json.loads(answer.value)} if answer.text is None else {"text": answer.text}
    kind = answer.exceptions[0].__dict__["type-name"] if answer.exceptions else ""
    return {"error": answer.code, "exception": kind, "message": answer.message}


def load(engine, path, compiled):
    if compiled is None:
        return Component.from_file(engine, path)
    try:
        return Component.deserialize_file(engine, compiled)
    except (WasmtimeError, OSError):
        component = Component.from_file(engine, path)
        Path(compiled).write_bytes(component.serialize())
        return component


def main(path, cases, compiled=None):
    config = Config()
    config.max_wasm_stack = 1 << 20  # CPython recurses in C; half of it is the default
    engine = Engine(config)
    component = load(engine, path, compiled)
    for case in json.loads(Path(cases).read_text()):
        instance = Instance(engine, component)
        got = perform(instance, case)
        if "stdout" in case["expected"]:
            got["stdout"] = instance.stdout()
        print(json.dumps({"name": case["name"], "got": got}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

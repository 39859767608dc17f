# The functions behind `tools` and `workflows` decide nothing: what they reach is the host's choice.
import wit_world.imports.tools as raw_tools
import wit_world.imports.workflows as raw_workflows
import wit_world.imports.artifacts as raw_artifacts
from componentize_py_types import Err

def attempt(call, *arguments):
    try:
        return repr(call(*arguments))
    except Err as error:
        return error.value.code.name
    except BaseException as error:
        return type(error).__name__

def run():
    return [
        attempt(raw_tools.call, "admin", "delete_everything", "{}"),
        attempt(raw_tools.call, "../../bin/sh", "", "{}"),
        attempt(raw_tools.start, "test", "", "{}"),
        attempt(raw_workflows.invoke, "../x", "{}", False),
        attempt(raw_workflows.invoke, "x' OR '1'='1", "{}", False),
        attempt(raw_workflows.create, "a" * 65, "def run(): return 1", ""),
        attempt(raw_workflows.create, "ok_name", "def run(:", ""),
        attempt(raw_artifacts.save, "../../x", raw_artifacts.Content_Text("x"), raw_artifacts.SaveOptions("", "", None)),
        attempt(raw_artifacts.load, "a\0b", None),
        attempt(raw_tools.call, "test", "echo", '{"x": 1}'),
    ]

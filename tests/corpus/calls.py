"""Calls every import with values that mean harm. The same seed makes the same calls."""

import random

import wit_world.imports.artifacts as raw_artifacts
import wit_world.imports.calls as raw_calls
import wit_world.imports.tools as raw_tools
import wit_world.imports.workflows as raw_workflows

MODULES = {"calls": raw_calls, "tools": raw_tools, "workflows": raw_workflows, "artifacts": raw_artifacts}
# What each takes: s a text, l texts, j JSON, n a number, N one or none, b yes or no, t a time, c a content,
# y bytes, o options of a save, f a filter.
IMPORTS = {
    "calls.wait": "t", "calls.cancel": "n",
    "tools.list": "", "tools.get": "s", "tools.search": "sn", "tools.call": "ssj", "tools.start": "ssj",
    "workflows.create": "sss", "workflows.get": "s", "workflows.list": "", "workflows.search": "sn", "workflows.delete": "sb",
    "workflows.history": "s", "workflows.restore": "ss", "workflows.invoke": "sjb", "workflows.start_invoke": "sjb",
    "artifacts.append": "Ny", "artifacts.save": "sco", "artifacts.load": "sN", "artifacts.read": "snn", "artifacts.get": "sN",
    "artifacts.list": "f", "artifacts.versions": "s", "artifacts.delete": "sN",
}
TEXTS = [
    "", " ", "x", "test", "echo", "typed", "big", "deep", "fail", "leaf", "secret", "canary", "../..", "a\0b", "\ud800", "a\udfffb", "\u202egnp",
    "x' OR '1'='1", "x\"; DROP TABLE workflows; --", "\x1b]0;pwn\x07", "A" * 64, "A" * 65, "é" * 40, "🦀" * 1000, "__class__", "__init__", "None", "con",
    "def run(): return 1", "def run(:", "def run(" + "a, " * 2000 + "b): return 1", "(" * 5000, "%s%n%x", "{}", "\r\nX-A: b", "a" * 5000, "/etc/passwd",
]
JSONS = [
    "{}", '{"x": 1}', '{"x": "y"}', '{"x": NaN}', '{"x": 1e999}', '{"x": -0.0}', '{"x":1,"x":2}', '{"n": 100}', '{"n": 100000}', '{"n": -1}', '{"message": "no"}',
    "[]", "null", '"s"', "", "{", "}", '{"x": "\\ud800"}', '{"\\u0000": 1}', '{"x":' * 120 + "1" + "}" * 120, '{"x":' * 200 + "1" + "}" * 200,
    "[" * 100_000, '{"x": ' + "9" * 5000 + "}", '{"x": 1} trailing', '\ufeff{"x": 1}', '{"x": [' + "0," * 5000 + "0]}", '{"' + "k" * 70_000 + '": 1}',
]
NUMBERS = [0, 1, 2, 3, 10, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -1, -(2**31), -(2**63), 10**30]
WRONG = [None, 5, -1, 1.5, float("nan"), True, b"bytes", [], {}, (), object(), "text", type, Ellipsis]


def text(draw):
    kind = draw.random()
    if kind < 0.03:
        return "A" * draw.choice((1 << 16, 1 << 20, (4 << 20) + 1, 9 << 20))
    if kind < 0.15:
        return "".join(chr(draw.choice((draw.randrange(128), draw.randrange(0x110000)))) for _ in range(draw.randrange(30)))
    return draw.choice(TEXTS)


def json_text(draw):
    if draw.random() < 0.03:
        return '{"x": "' + "A" * draw.choice((1 << 16, 1 << 20, 9 << 20)) + '"}'
    if draw.random() < 0.1:
        return text(draw)
    return draw.choice(JSONS)


def value(draw, kind):
    if draw.random() < 0.01:
        return draw.choice(WRONG)
    if kind == "s":
        return text(draw)
    if kind == "j":
        return json_text(draw)
    if kind == "l":
        return [text(draw) for _ in range(draw.choice((0, 0, 0, 1, 3, 1000)))]
    if kind == "b":
        return draw.random() < 0.5
    if kind == "n":
        # Seldom: what does not fit its type ends the run.
        return draw.choice(NUMBERS) if draw.random() < 0.06 else draw.randrange(40)
    if kind == "t":  # mostly short: a run has little time
        return draw.choice(NUMBERS) if draw.random() < 0.02 else draw.choice((0, 1, 1000, 10**6))
    if kind == "N":
        return value(draw, "n") if draw.random() < 0.6 else None
    if kind == "y":
        return draw.randbytes(draw.choice((0, 1, 1000, 1 << 20)))
    if kind == "o":
        return raw_artifacts.SaveOptions(text(draw), text(draw), value(draw, "N"))
    if kind == "f":
        return raw_artifacts.Filter(text(draw), text(draw), text(draw), text(draw), value(draw, "n"))
    made = draw.random()
    if made < 0.3:
        return raw_artifacts.Content_Text(text(draw))
    if made < 0.6:
        return raw_artifacts.Content_Json(json_text(draw))
    if made < 0.8:
        return raw_artifacts.Content_Binary(value(draw, "y"))
    return raw_artifacts.Content_Uploaded(value(draw, "n"))


def run(seed: int, count: int):
    draw, made, ended = random.Random(seed), [], {}
    for _ in range(count):
        name = draw.choice(list(IMPORTS))
        module, function = name.split(".")
        arguments = [value(draw, kind) for kind in IMPORTS[name]]
        print(name)
        try:
            getattr(MODULES[module], function)(*arguments)
            end = "answered"
        except BaseException as error:
            end = getattr(getattr(getattr(error, "value", None), "code", None), "name", type(error).__name__)
        made.append(name)
        ended[end] = ended.get(end, 0) + 1
    return {"made": made, "ended": ended}

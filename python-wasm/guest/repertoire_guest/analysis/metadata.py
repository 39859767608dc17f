"""Inline script metadata (PEP 723): what a source says it requires.

    # /// script
    # dependencies = ["jinja2>=3.1"]
    # [tool.repertoire]
    # runtime = "reports"
    # ///
"""

import re
import sys
import tomllib
from dataclasses import dataclass, field

from .entry import InvalidSource

_BLOCK = re.compile(r"^# /// (?P<type>[a-zA-Z0-9-]+)[ \t]*\r?$\n(?P<content>(?:^#(?:| .*)$\n)+)^# ///[ \t]*\r?$", re.M)
_DEPENDENCY = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[[^\]]*\])?\s*\(?\s*([^;@()]*?)\s*\)?\s*")
_CLAUSE = re.compile(r"\s*(~=|==|!=|<=|>=|<|>)\s*([0-9]+(?:\.[0-9]+)*)(\.\*)?\s*")
_KEYS = ("runtime",)
_MOST = 100
"""Dependencies of one source."""


@dataclass
class Requirements:
    """The image that a source names, and (name, version specifiers) of the packages that it needs."""

    runtime: str | None = None
    dependencies: list[tuple[str, str]] = field(default_factory=list)


def read(source):
    """What a source requires; raises `InvalidSource` if it says so in a way that cannot be read."""
    if "# /// script" not in source:
        return Requirements()
    blocks = [match for match in _BLOCK.finditer(source + "\n") if match["type"] == "script"]
    if not blocks:
        return Requirements()
    if len(blocks) > 1:
        raise InvalidSource("the source has more than one block `# /// script`; keep one")
    lines = blocks[0]["content"].splitlines()
    text = "\n".join(line[2:] if line.startswith("# ") else line[1:] for line in lines)
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidSource(f"the block `# /// script` is not TOML: {error}") from None
    _check_python(table.get("requires-python", ""))
    return Requirements(_runtime(table), _dependencies(table.get("dependencies", [])))


def _runtime(table):
    tool = table.get("tool", {})
    own = tool.get("repertoire", {}) if isinstance(tool, dict) else {}
    if not isinstance(own, dict):
        raise InvalidSource("the block `# /// script`: write [tool.repertoire] on a line of its own, and below it runtime = \"NAME\"")
    for key in own:
        if key not in _KEYS:
            raise InvalidSource(f"the block `# /// script`: [tool.repertoire] has no key {key!r}; it has {', '.join(_KEYS)}")
    runtime = own.get("runtime")
    if runtime is not None and not isinstance(runtime, str):
        raise InvalidSource("the block `# /// script`: runtime is the name of a runtime image, a string")
    return runtime


def _dependencies(given):
    if not isinstance(given, list) or len(given) > _MOST:
        raise InvalidSource(f"the block `# /// script`: dependencies is a list of at most {_MOST} strings")
    return [_dependency(text) for text in given]


def _dependency(text):
    match = _DEPENDENCY.fullmatch(text) if isinstance(text, str) else None
    if match is None or not all(map(_CLAUSE_OR_ANY.fullmatch, match[2].split(","))):
        raise InvalidSource(
            f"the block `# /// script`: {str(text)[:200]!r} is not a dependency that is read here; write a name and versions, "
            'as in "jinja2>=3.1,<4", without a URL or a marker'
        )
    return re.sub(r"[-_.]+", "-", match[1]).lower(), match[2]


_CLAUSE_OR_ANY = re.compile(r"\s*|\s*(?:~=|===?|!=|<=|>=|<|>)\s*[A-Za-z0-9.*+!_-]+\s*")


def _check_python(versions):
    if not isinstance(versions, str):
        raise InvalidSource("the block `# /// script`: requires-python is a string")
    here = sys.version_info[:3]
    for clause in filter(str.strip, versions.split(",")):
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            raise InvalidSource(f"the block `# /// script`: requires-python has {clause.strip()[:100]!r}, which is no version")
        if not _fits(here, match[1], tuple(int(part) for part in match[2].split(".")), match[3] is not None):
            version = ".".join(map(str, here))
            raise InvalidSource(f"the block `# /// script`: requires-python is {versions!r}, and workflows run on Python {version}")


def _fits(here, operator, wanted, is_prefix):
    size = max(len(here), len(wanted))
    a, b = here + (0,) * (size - len(here)), wanted + (0,) * (size - len(wanted))
    same = here[: len(wanted)] == wanted if is_prefix else a == b
    return {
        "==": same,
        "!=": not same,
        ">=": a >= b,
        "<=": a <= b,
        ">": a > b,
        "<": a < b,
        "~=": a >= b and here[: len(wanted) - 1] == wanted[:-1],
    }[operator]

"""The packages that a source requires: its inline script metadata (PEP 723)."""

import re

from .entry import InvalidSource

_BLOCK = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
_REQUIREMENT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?(?: *== *[A-Za-z0-9.+!_-]+)?")
_MOST = 64


def required(source):
    """Its dependencies, each a name or `name==version`."""
    blocks = [found["content"] for found in _BLOCK.finditer(source.replace("\r\n", "\n")) if found["type"] == "script"]
    if not blocks:
        return []
    if len(blocks) > 1:
        raise InvalidSource("the source has more than one block `# /// script`")
    import tomllib

    text = "".join(line[2:] if line.startswith("# ") else line[1:] for line in blocks[0].splitlines(keepends=True))
    try:
        found = tomllib.loads(text).get("dependencies", [])
    except tomllib.TOMLDecodeError as error:
        raise InvalidSource(f"the block `# /// script` is not TOML: {error}") from None
    if not isinstance(found, list) or len(found) > _MOST or not all(isinstance(item, str) for item in found):
        raise InvalidSource(f"`dependencies` in the block `# /// script` is a list of at most {_MOST} strings")
    for item in found:
        if not _REQUIREMENT.fullmatch(item.strip()):
            raise InvalidSource(f"`{item:.100}` is no requirement that a runtime image is chosen by: write a name, or name==version")
    return [item.strip().replace(" ", "") for item in found]

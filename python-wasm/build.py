#!/usr/bin/env python3
"""Builds the component that runs Python workflows.

    build.py --out FILE     builds, unless FILE is up to date
    build.py --check        only checks that the inputs are those of inputs.lock
    build.py --update-lock  records the inputs as they are now

Run it by the Python of an environment in which requirements.txt is installed
(`--check` needs none). The inputs are the guest's sources, the WIT package, the
pins, and tzdata's files; their SHA-256 digests are committed in inputs.lock, so
that a component can be traced to what it was made of.
"""

import argparse
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
LOCK = HERE / "inputs.lock"
FUSE = HERE / "fuse"
WORLD = "workflow"


class BuildError(Exception):
    """What went wrong, and what to do about it."""


def main():
    options = arguments()
    try:
        inputs = source_inputs()
        if options.update_lock:
            inputs["tzdata"] = tree_digest(tzdata_directory())
            LOCK.write_text(json.dumps(inputs, indent=2) + "\n")
            say(f"recorded {len(inputs['files'])} files in {LOCK.name}")
        locked = read_lock()
        compare(locked, inputs)
        if options.out:
            build(options.out, locked, force=options.force)
        elif not options.update_lock:
            say(f"all {len(inputs['files'])} inputs are those of {LOCK.name}")
    except BuildError as error:
        say(f"error: {error}")
        return 1
    return 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the component goes")
    parser.add_argument("--force", action="store_true", help="build even if FILE is up to date")
    parser.add_argument("--check", action="store_true", help="only check the inputs against inputs.lock")
    parser.add_argument("--update-lock", action="store_true", help="record the inputs' digests in inputs.lock")
    options = parser.parse_args()
    if not (options.out or options.check or options.update_lock):
        parser.error("nothing to do: give --out FILE, --check or --update-lock")
    if options.check and (options.out or options.update_lock):
        parser.error("--check only checks; it goes with no other option")
    return options


def source_inputs():
    """The digests of everything that lies in the repository."""
    paths = [HERE / "requirements.txt"]
    paths += sorted((HERE / "guest").rglob("*.py"))
    paths += sorted((PROJECT / "wit").rglob("*.wit"))
    paths += [FUSE / "Cargo.toml", FUSE / "Cargo.lock", *sorted((FUSE / "src").rglob("*.rs"))]
    if len(paths) < 3:
        raise BuildError(f"{HERE / 'guest'} or {PROJECT / 'wit'} is empty")
    return {"files": {path.relative_to(PROJECT).as_posix(): file_digest(path) for path in paths}}


def file_digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def tree_digest(directory):
    """One digest for all files below a directory, by name and content."""
    digest = hashlib.sha256()
    for path in tree_files(directory):
        digest.update(f"{path.relative_to(directory).as_posix()}\0{file_digest(path)}\n".encode())
    return digest.hexdigest()


def tree_files(directory):
    return sorted(path for path in directory.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def read_lock():
    try:
        return json.loads(LOCK.read_text())
    except FileNotFoundError:
        raise BuildError(f"{LOCK} is missing; restore it, or write it with --update-lock") from None


def compare(locked, inputs):
    """Refuses inputs that are not the recorded ones."""
    before, now = locked["files"], inputs["files"]
    changes = [f"changed: {name}" for name in sorted(before.keys() & now.keys()) if before[name] != now[name]]
    changes += [f"new: {name}" for name in sorted(now.keys() - before.keys())]
    changes += [f"missing: {name}" for name in sorted(before.keys() - now.keys())]
    if changes:
        shown = "\n  ".join(changes)
        raise BuildError(f"the inputs are not those of {LOCK.name}:\n  {shown}\nif that is meant, run build.py --update-lock")


def tzdata_directory():
    found = importlib.util.find_spec("tzdata")
    if found is None:
        raise BuildError("tzdata is not installed here; pip install --require-hashes -r python-wasm/requirements.txt")
    return Path(found.origin).parent


def check_tools(locked):
    """The installed packages are the pinned ones; pip has checked their digests."""
    for name, version in re.findall(r"^([\w-]+)==(\S+)", (HERE / "requirements.txt").read_text(), re.M):
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            installed = "missing"
        if installed != version:
            raise BuildError(
                f"{name} {version} is needed, and here it is {installed} ({sys.prefix}); "
                "pip install --require-hashes -r python-wasm/requirements.txt"
            )
    if tree_digest(tzdata_directory()) != locked.get("tzdata"):
        raise BuildError(f"tzdata's files are not those of {LOCK.name}; reinstall it, or run build.py --update-lock")


def build(out, locked, *, force):
    """Builds the component at `out`, which appears whole or not at all."""
    stamp = out.with_name(out.name + ".stamp")
    wanted = json.dumps(locked, sort_keys=True)
    recipe = hashlib.sha256(wanted.encode() + Path(__file__).read_bytes()).hexdigest()
    if not force and out.exists() and read(stamp) == f"{recipe} {file_digest(out)}":
        say(f"{out} is up to date")
        return
    check_tools(locked)
    out.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    say("building the component (about half a minute) ...")
    with tempfile.TemporaryDirectory(prefix="python-wasm-") as scratch:
        made = Path(scratch) / "component.wasm"
        componentize(stage(Path(scratch)), made)
        made = fuse(made)
        stamp.unlink(missing_ok=True)
        beside = out.with_name(f".{out.name}.{os.getpid()}")
        shutil.copyfile(made, beside)
        os.replace(beside, out)
    digest = file_digest(out)
    stamp.write_text(f"{recipe} {digest}")
    say(f"{out}: {out.stat().st_size / 1e6:.1f} MB in {time.monotonic() - started:.0f} s, sha256 {digest}")


def stage(scratch):
    """A directory with exactly what the guest may see, with no times of its own."""
    staged = scratch / "guest"
    skip = shutil.ignore_patterns("__pycache__", "*.pyc", "py.typed")
    shutil.copytree(HERE / "guest", staged, ignore=skip)
    shutil.copytree(tzdata_directory(), staged / "tzdata", ignore=skip)
    for path in [staged, *staged.rglob("*")]:
        os.utime(path, (0, 0))
    return staged


def componentize(staged, made):
    """Runs componentize-py, which starts the interpreter, imports `app` and keeps its memory."""
    program = shutil.which("componentize-py", path=str(Path(sys.executable).parent))
    if program is None:
        raise BuildError(f"componentize-py is not beside {sys.executable}; run this by the Python that it was installed with")
    command = [program, "-d", str(PROJECT / "wit"), "-w", WORLD, "componentize", "app", "-p", str(staged), "-o", str(made)]
    # No search path: else componentize-py asks the Python that it finds there for its site-packages, and adds them.
    environment = {name: value for name, value in os.environ.items() if name in ("HOME", "TMPDIR", "SYSTEMROOT")}
    environment |= {"PATH": "", "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, env=environment, cwd=staged.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0 or not made.exists():
        raise BuildError(f"componentize-py ended with status {done.returncode}:\n{done.stdout.strip()[-8000:]}")


def fuse(made):
    """Makes one core module of the many that componentize-py links when the component is instantiated."""
    fused = made.with_name("fused.wasm")
    cargo = os.environ.get("CARGO") or shutil.which("cargo")
    if cargo is None:
        raise BuildError("cargo is needed to fuse the component's modules; https://rustup.rs installs it")
    command = [cargo, "run", "--quiet", "--locked", "--manifest-path", str(FUSE / "Cargo.toml")]
    command += ["--target-dir", str(PROJECT / "build/fuse"), "--", str(made), str(fused)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0 or not fused.exists():
        raise BuildError(f"python-wasm/fuse ended with status {done.returncode}:\n{done.stdout.strip()[-8000:]}")
    return fused


def read(path):
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def say(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Builds a runtime image: the component with packages from PyPI in it, imported already.

    image.py --requirement pyyaml==6.0.3 --requirement jinja2==3.1.6 --out DIR

makes DIR/<digest>/component.wasm and DIR/<digest>/image.json, unless they are there, and prints the
latter. The digest is that of the component's inputs and of the packages' files, so the same list of pinned
packages is the same image.

Packages are taken as wheels, which are unpacked: nothing of theirs is run on this machine. What is
compiled in them is left out, and then they have to import without it, which is tried where it counts: in the
sandbox, while the image is built. Run it by the Python of an environment in which requirements.txt is installed.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

import build

FORMAT = 1
REQUIREMENT = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?) *== *([A-Za-z0-9.+!_-]+)")
MOST_BYTES = 64 << 20
"""Of a package's files, unpacked: each instance of the image sees all of them."""
PYTHON = "3.14"
COMPILED = (".so", ".pyd", ".dll", ".dylib", ".a", ".o")
TAKEN = {"app", "repertoire", "repertoire_guest", "repertoire_image", "wit_world", "componentize_py_types",
         "componentize_py_runtime", "componentize_py_async_support", "poll_loop", "workflow"}  # fmt: skip
REFUSED = "REFUSED BY THE IMAGE: "


def main():
    options = arguments()
    try:
        image = make(options.requirement, options.out)
    except build.BuildError as error:
        build.say(f"error: {error}")
        return 1
    print(json.dumps(image))
    return 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requirement", action="append", required=True, metavar="NAME==VERSION", help="a package, pinned; may be repeated")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the images are")
    return parser.parse_args()


def make(requirements, out):
    for requirement in requirements:
        if not REQUIREMENT.fullmatch(requirement.strip()):
            raise build.BuildError(f"{requirement!r} is not pinned: write NAME==VERSION, for example pyyaml==6.0.3")
    locked = build.read_lock()
    build.compare(locked, build.source_inputs())
    build.check_tools(locked)
    with tempfile.TemporaryDirectory(prefix="image-") as scratch:
        scratch = Path(scratch)
        wheels = download(requirements, scratch / "wheels")
        packages = [unpack(wheel, scratch / "packages") for wheel in wheels]
        check_names(packages)
        digest = identity(locked, packages)
        directory = out / digest
        described = directory / "image.json"
        if described.exists() and (directory / "component.wasm").exists():
            return json.loads(described.read_text())
        image = {
            "format": FORMAT,
            "digest": digest,
            "packages": [{key: package[key] for key in ("name", "version", "sha256", "left_out")} for package in packages],
            "modules": sorted({module for package in packages for module in package["modules"]}),
        }
        build.say("building the image (about half a minute) ...")
        staged = build.stage(scratch)
        shutil.move(scratch / "packages", staged / "repertoire_packages")
        imports = [module for module in image["modules"] if not module.startswith("_")]
        (staged / "repertoire_image.py").write_text(f"IMPORTS = {imports!r}\n")
        for path in [staged, *staged.rglob("*")]:
            os.utime(path, (0, 0))
        made = scratch / "component.wasm"
        try:
            build.componentize(staged, made)
        except build.BuildError as error:
            raise refusal(error, packages) from None
        made = build.fuse(made)
        image["bytes"] = made.stat().st_size
        directory.mkdir(parents=True, exist_ok=True)
        place(directory / "component.wasm", made.read_bytes())
        # Last: with it the image exists.
        place(described, json.dumps(image, indent=2).encode() + b"\n")
        return image


def pip(*options):
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input", *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout.strip() if done.returncode else None


def download(requirements, to):
    """Wheels of the packages and of what they need; one that is pure Python, where there is one."""
    native = ["--implementation", "cp", "--abi", f"cp{PYTHON.replace('.', '')}", "--abi", "abi3", "--abi", "none"]
    for platform in ("manylinux_2_28", "manylinux_2_17", "manylinux2014"):
        native += ["--platform", f"{platform}_x86_64"]
    native += ["--platform", "any"]
    only = ["--only-binary=:all:", "--python-version", PYTHON]
    problem = pip("--dest", str(to), *only, *native, *requirements)
    if problem:
        raise build.BuildError(
            f"pip cannot get wheels of {', '.join(requirements)}:\n{problem[-2000:]}\n"
            "a package without a wheel is not taken: building it would run its code on this machine"
        )
    wheels = []
    for wheel in sorted(to.glob("*.whl")):
        name, version, *_ = wheel.name.split("-")
        if not wheel.name.endswith("-none-any.whl"):
            pure = to / "pure"
            if pip("--dest", str(pure), *only, "--no-deps", "--implementation", "py", "--abi", "none", "--platform", "any", f"{name}=={version}") is None:
                wheel = next(pure.glob(f"{name}-*.whl"), wheel)
        wheels.append(wheel)
    return wheels


def unpack(wheel, to):
    """Unpacks what is Python, and describes it."""
    name, version, *_ = wheel.name.split("-")
    package = {"name": name.lower().replace("_", "-"), "version": version, "sha256": build.file_digest(wheel), "left_out": [], "modules": []}
    with zipfile.ZipFile(wheel) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        if sum(member.file_size for member in members) > MOST_BYTES:
            raise build.BuildError(f"{package['name']} {version} has more than {MOST_BYTES >> 20} MiB")
        files = {}
        for member in members:
            path = PurePosixPath(member.filename)
            if path.is_absolute() or ".." in path.parts:
                raise build.BuildError(f"{wheel.name} has a file {member.filename!r}, which would leave its directory")
            if path.parts[0].endswith(".data"):
                if path.parts[1:2] not in (("purelib",), ("platlib",)):
                    continue  # scripts, headers, documentation
                path = PurePosixPath(*path.parts[2:])
            if not path.parts[0].endswith(".dist-info"):
                files[path] = member
        for path, member in files.items():
            if path.suffix in COMPILED or ".so." in path.name:
                package["left_out"].append(str(path))
                continue
            target = to / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(member))
            if path.suffix == ".py":
                package["modules"].append(path.parts[0].removesuffix(".py"))
    package["modules"] = sorted(set(package["modules"]))
    check_compiled(package, {str(path) for path in files})
    return package


def check_compiled(package, files):
    """What is compiled may go where Python does the same: in a module of its own name, or in one that
    looks for the compiled one, which is private, and does without. What is public has users."""
    for path in package["left_out"]:
        stem = PurePosixPath(path).name.split(".")[0]
        module = path.rpartition("/")[0] + "/" + stem
        if f"{module}.py".lstrip("/") in files:
            continue
        if not stem.startswith("_") or "/" not in path or ".libs/" in path:
            raise build.BuildError(
                f"{package['name']} {package['version']} needs native code, {path}, which cannot run in the sandbox; "
                "choose a package that is pure Python, or offer what it does as a tool"
            )


def check_names(packages):
    if not any(package["modules"] for package in packages):
        raise build.BuildError("these packages have no Python module")
    for package in packages:
        for module in package["modules"]:
            if module in TAKEN or module in sys.stdlib_module_names:
                raise build.BuildError(f"{package['name']} has a module {module}, which would take the place of one that the runtime needs")


def identity(locked, packages):
    """One digest for everything that goes in."""
    digest = hashlib.sha256()
    digest.update(json.dumps(locked, sort_keys=True).encode())
    for recipe in ("build.py", "image.py"):
        digest.update((build.HERE / recipe).read_bytes())
    for package in sorted(packages, key=lambda package: package["name"]):
        digest.update(f"{package['name']}=={package['version']} {package['sha256']}\n".encode())
    return digest.hexdigest()


def refusal(error, packages):
    """Why the image was not built, if it was a package's fault."""
    found = re.search(re.escape(REFUSED) + r"(\S+) (.*)", str(error))
    if found is None:
        return error
    module, reason = found.groups()
    package = next((package for package in packages if module.partition(".")[0] in package["modules"]), {"name": module, "version": "", "left_out": []})
    native = f" (what is compiled in it was left out: {', '.join(package['left_out'])})" if package["left_out"] else ""
    return build.BuildError(f"{package['name']} {package['version']} cannot be imported in the sandbox: {reason}{native}")


def place(path, content):
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(content)
    os.replace(beside, path)


if __name__ == "__main__":
    sys.exit(main())

"""Downloads wheels of packages and of what they need into a directory.

    python3 -I -c SCRIPT DIRECTORY PACKAGE==VERSION ...

pip is asked for one wheel at a time, without dependencies, so that it never builds anything: what a wheel needs is read
off its metadata, with the markers of the Python that the wheels are for. A wheel without native code is preferred.
"""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

try:
    from pip._vendor.packaging.requirements import InvalidRequirement, Requirement
    from pip._vendor.packaging.utils import canonicalize_name, parse_wheel_filename
except ImportError:
    sys.exit(f"{sys.executable} has no pip; name another Python with --python")

PYTHON = "3.14"
ENVIRONMENT = {
    "python_version": PYTHON, "python_full_version": f"{PYTHON}.0", "implementation_name": "cpython", "implementation_version": f"{PYTHON}.0",
    "os_name": "posix", "sys_platform": "wasi", "platform_system": "", "platform_machine": "wasm32", "platform_release": "",
    "platform_version": "", "platform_python_implementation": "CPython",
}  # fmt: skip
PURE = ["--implementation=py", "--abi=none", "--platform=any"]
ANY = ["--implementation=cp", "--abi=cp314", "--abi=abi3", "--abi=none"]
ANY += [f"--platform={name}" for name in ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64", "any")]
MOST = 200
"""Packages of an image, and times that one is chosen anew."""
MAX_METADATA = 4 << 20


def download(directory, wanted, tags):
    """The wheel that pip chooses, or what it says against it."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", f"--python-version={PYTHON}", *tags, "--dest", str(directory), "--", wanted]
    before = set(directory.iterdir())
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    new = [path for path in directory.iterdir() if path not in before]
    if done.returncode != 0 or len(new) != 1 or new[0].suffix != ".whl":
        for path in new:
            path.unlink()
        return None, done.stderr
    return new[0], ""


def fetch(directory, requirement):
    wanted = requirement.name + (f"{requirement.specifier}" if requirement.specifier else "")
    wheel, problem = download(directory, wanted, ANY)
    if wheel is None:
        sys.exit(
            f"there is no wheel of {wanted} for Python {PYTHON}. A package that has only sources would have to be built, which runs "
            f"its code: build a wheel yourself, and name it with --wheel. pip says: {problem.strip()[-1500:]}"
        )
    name, version, _, tags = parse_wheel_filename(wheel.name)
    if any(tag.platform != "any" for tag in tags):
        pure, _ = download(directory, f"{requirement.name}=={version}", PURE)
        if pure is not None:
            wheel.unlink()
            wheel = pure
    return version, wheel


def needs(wheel, extras):
    """What a wheel's metadata say that it needs here."""
    with zipfile.ZipFile(wheel) as archive:
        (path,) = [info for info in archive.infolist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", info.filename)]
        if path.file_size > MAX_METADATA:
            sys.exit(f"the metadata of {wheel.name} are too large")
        text = archive.read(path).decode("utf-8", "replace")
    for line in text.partition("\n\n")[0].splitlines():
        if not line.lower().startswith("requires-dist:"):
            continue
        try:
            requirement = Requirement(line.partition(":")[2].strip())
        except InvalidRequirement as error:
            sys.exit(f"{wheel.name} needs {line.partition(':')[2].strip()!r}, which cannot be read: {error}")
        marker = requirement.marker
        if marker is None or any(marker.evaluate({**ENVIRONMENT, "extra": extra}) for extra in ["", *extras]):
            if requirement.url:
                sys.exit(f"{wheel.name} needs {requirement}, an address; build a wheel of that yourself, and name it with --wheel")
            yield requirement


def main(directory, *wanted):
    directory = Path(directory)
    asked, chosen, waiting = {}, {}, [Requirement(text) for text in wanted]
    for _ in range(MOST * 5):
        if not waiting:
            return
        requirement = waiting.pop(0)
        name = canonicalize_name(requirement.name)
        known = asked.setdefault(name, requirement)
        known.specifier &= requirement.specifier
        extras = known.extras | requirement.extras
        new_extras = extras != known.extras
        known.extras = extras
        version, wheel = chosen.get(name, (None, None))
        if version is not None and known.specifier.contains(version, prereleases=True):
            if new_extras:
                waiting.extend(needs(wheel, extras))
            continue
        if wheel is not None:
            wheel.unlink()
        if len(chosen) >= MOST:
            sys.exit(f"the packages need more than {MOST} others")
        chosen[name] = fetch(directory, known)
        waiting.extend(needs(chosen[name][1], extras))
    sys.exit("the packages' requirements contradict each other; pin those that they disagree about with --requirement")


main(*sys.argv[1:])

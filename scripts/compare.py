#!/usr/bin/env python3
"""Runs the same programs through Repertoire, pyeryx, pydantic-monty and CPython itself, in turn, and writes a table.

    compare.py --repertoire PROGRAM --out docs/benchmarks.md [--python PYTHON] [--seconds S] [--rounds N]

The others are installed into an environment that is thrown away, pinned by scripts/pins/compare.txt; they need a Python
of 3.12 or newer, which is looked for on PATH and among pyenv's. What is measured is from the caller to the result, with a
fresh sandbox each time. The programs are those of `repertoire bench`.
"""

import argparse
import json
import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
PROGRAMS = PROJECT / "engine/src/cli/bench/programs"
PINS = PROJECT / "scripts/pins/compare.txt"
TRIVIAL = "def run(n=1):\n    return n + 1\n"
OTHERS = ("pyeryx", "monty", "cpython")


def main():
    options = arguments()
    if options.worker:
        return work(options.worker)
    with tempfile.TemporaryDirectory(prefix="repertoire-compare-") as scratch:
        python = install(options.python or find_python(), Path(scratch) / "env")
        versions = json.loads(subprocess.run([python, __file__, "--worker", "versions"], check=True, capture_output=True, text=True).stdout)
        workers = {name: Worker(python, name) for name in OTHERS}
        try:
            figures = measure(options, workers)
        finally:
            for worker in workers.values():
                worker.close()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(report(options, versions, figures))
    print(f"wrote {options.out}", file=sys.stderr)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repertoire", default="target/debug/repertoire", help="the program to measure")
    parser.add_argument("--out", type=Path, default=PROJECT / "docs/benchmarks.md")
    parser.add_argument("--python", help="the Python for the others: 3.12 or newer")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long each figure is measured in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


def find_python():
    candidates = [shutil.which(f"python3.{minor}") for minor in (14, 13, 12)]
    candidates += sorted(Path.home().glob(".pyenv/versions/3.1[2-9]*/bin/python3"), reverse=True)
    candidates += [sys.executable]
    for candidate in filter(None, candidates):
        done = subprocess.run([candidate, "-c", "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))"], capture_output=True)
        if done.returncode == 0:
            return str(candidate)
    sys.exit("error: the others need a Python of 3.12 or newer; name one with `make compare COMPARE_PYTHON=/path/to/python3`")


def install(python, env):
    subprocess.run([python, "-m", "venv", env], check=True)
    command = [env / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
    subprocess.run([*command, "--require-hashes", "-r", PINS], check=True)
    return str(env / "bin/python")


class Worker:
    """Another process that runs programs in one of the others."""

    def __init__(self, python, name):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen([python, __file__, "--worker", name], **pipes)

    def ask(self, **question):
        print(json.dumps(question), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def close(self):
        self._process.stdin.close()
        self._process.wait()


def measure(options, workers):
    """Samples in milliseconds by program and by who ran it; an error as text where one cannot."""
    programs = {"trivial": TRIVIAL} | {path.stem: path.read_text() for path in sorted(PROGRAMS.glob("*.py"))}
    figures = {name: {} for name in programs}
    expected = {name: workers["cpython"].ask(source=source, seconds=0)["value"] for name, source in programs.items()}
    for _ in range(options.rounds):
        for name, source in programs.items():
            ours = bench(options, "trivial" if name == "trivial" else f"cpu/{name}")
            for figure in ours:
                key = figure["name"].removeprefix("cpu/")
                figures.setdefault(key, {}).setdefault("repertoire", []).append(figure["p50"])
            for other, worker in workers.items():
                answer = worker.ask(source=source, seconds=options.seconds)
                if "error" not in answer and answer["value"] != expected[name]:
                    answer = {"error": f"another result: {answer['value']}"}
                if "error" in answer:
                    figures[name][other] = answer["error"]
                else:
                    figures[name].setdefault(other, []).append(statistics.median(answer["samples"]))
        for figure in bench(options, "throughput"):
            figures.setdefault(figure["name"], {}).setdefault("repertoire", []).append(figure["p50"])
        for other in ("pyeryx", "monty"):
            rate = workers[other].ask(throughput=TRIVIAL, seconds=3 * options.seconds)
            figures.setdefault("throughput", {}).setdefault(other, []).append(rate["rate"])
    return figures


def bench(options, figure):
    command = [options.repertoire, "bench", "--json", "--filter", figure, "--seconds", str(options.seconds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=PROJECT)
    return json.loads(done.stdout)["figures"]


# --- in the other process ------------------------------------------------------------------------


def work(name):
    if name == "versions":
        from importlib.metadata import version

        found = {package: version(package) for package in ("pyeryx", "pydantic-monty")}
        print(json.dumps(found | {"cpython": platform.python_version()}))
        return
    run = {"pyeryx": with_eryx, "monty": with_monty, "cpython": natively}[name]()
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = throughput(run, question) if "throughput" in question else sample(run, question)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
        print(json.dumps(answer), flush=True)


def sample(run, question):
    value, samples = run(question["source"]), []
    end = time.perf_counter() + question["seconds"]
    while time.perf_counter() < end or (question["seconds"] and len(samples) < 3):
        start = time.perf_counter()
        run(question["source"])
        samples.append((time.perf_counter() - start) * 1e3)
    return {"value": str(value), "samples": samples}


def throughput(run, question):
    """Runs per second of as many processes as there are cores: none waits for another's lock."""
    readers = []
    for _ in range(os.cpu_count()):
        reader, writer = os.pipe()
        command = [sys.executable, "-c", "import sys; sys.path.insert(0, sys.argv[1]); import compare; compare.count(*sys.argv[2:])"]
        name = {with_eryx: "with_eryx", with_monty: "with_monty"}[run.maker]
        process = subprocess.Popen(command + [str(PROJECT / "scripts"), name, str(question["seconds"]), question["throughput"]], stdout=writer)
        os.close(writer)
        readers.append((process, reader))
    rate = 0.0
    for process, reader in readers:
        with os.fdopen(reader) as stream:
            rate += float(stream.read())
        process.wait()
    return {"rate": rate}


def count(name, seconds, source):
    run, done = globals()[name](), 0
    for _ in range(20):
        run(source)
    start = time.perf_counter()
    while time.perf_counter() < start + float(seconds):
        run(source)
        done += 1
    print(done / (time.perf_counter() - start))


def with_eryx():
    import eryx

    def run(source):
        return eryx.Sandbox().execute(f"{source}\nprint(run())").stdout.decode().strip()

    run.maker = with_eryx
    return run


def with_monty():
    import pydantic_monty

    pool = pydantic_monty.Monty().__enter__()

    def run(source):
        with pool.checkout() as session:
            return session.feed_run(f"{source}\nrun()")

    run.maker = with_monty
    return run


def natively():
    def run(source):
        namespace = {"__name__": "program"}
        exec(compile(source, "program", "exec"), namespace)
        return namespace["run"]()

    return run


# --- the report ----------------------------------------------------------------------------------


def report(options, versions, figures):
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=PROJECT).stdout.strip()
    lines = [
        "# Benchmarks",
        "",
        f"Written by `make compare` on {time.strftime('%Y-%m-%d')} at commit {commit}. Not edited by hand.",
        "",
        f"Machine: {processor()}, {os.cpu_count()} cores, {memory()} GiB, {platform.system()} {platform.release()}; load {os.getloadavg()[0]:.1f} at the end.",
        f"Versions: Repertoire {commit} (CPython 3.14 in WebAssembly), pyeryx {versions['pyeryx']} (CPython in WebAssembly), "
        f"pydantic-monty {versions['pydantic-monty']} (a subset of Python, in processes that it keeps), CPython {versions['cpython']} without a sandbox.",
        "",
        f"Method: {options.rounds} rounds; in each, every program is run by everybody in turn, for {options.seconds:g} s each, from the caller to the result. "
        "Repertoire, pyeryx and monty get a fresh sandbox for each run. Of each round the median is taken, and here the median of the rounds. "
        "Repertoire's limits and metering are on; the others have their defaults. Results are compared with CPython's. "
        "`trivial` of Repertoire has pauses of 10 ms between runs, `trivial-in-a-row` none; the others prepare nothing between runs. "
        "Throughput: Repertoire in one process, the others with one process for each core.",
        "",
        "| program | Repertoire | pyeryx | monty | CPython | of pyeryx | of CPython |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    ratios = {"pyeryx": [], "cpython": []}
    for name, by in figures.items():
        if name in ("throughput", "throughput-latency", "async-overhead"):
            continue
        ours = statistics.median(by["repertoire"])
        cells = [f"{ours:.2f} ms"]
        for other in OTHERS:
            theirs = by.get(other)
            cells.append(f"{statistics.median(theirs):.2f} ms" if isinstance(theirs, list) else "-")
        for other in ("pyeryx", "cpython"):
            theirs = by.get(other)
            if not isinstance(theirs, list):
                cells.append("-")
                continue
            ratio = ours / statistics.median(theirs)
            cells.append(f"{ratio:.2f}")
            if not name.startswith("trivial"):
                ratios[other].append(ratio)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    mean = {other: math.exp(statistics.fmean(map(math.log, all_))) if all_ else math.nan for other, all_ in ratios.items()}
    lines.append(f"| *geometric mean of the programs* | | | | | {mean['pyeryx']:.2f} | {mean['cpython']:.2f} |")
    rate = {name: statistics.median(rates) for name, rates in figures["throughput"].items()}
    lines += [
        "",
        "| isolated trivial runs per second | Repertoire | pyeryx | monty |",
        "|---|---:|---:|---:|",
        f"| | {rate['repertoire']:.0f} | {rate['pyeryx']:.0f} | {rate['monty']:.0f} |",
    ]
    failed = [(name, other, by[other]) for name, by in figures.items() for other in OTHERS if isinstance(by.get(other), str)]
    if failed:
        lines += ["", "What could not be run:", ""]
        lines += [f"- {other}, {name}: {error}" for name, other, error in failed]
    return "\n".join(lines) + "\n"


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def memory():
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


if __name__ == "__main__":
    main()

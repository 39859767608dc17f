"""What `print` writes, and why there is nothing to read.

Every write to the standard streams goes to the host at once: what a workflow has printed is seen
while it waits, and in the order of `os.write(1, ...)`. So that a line is one write all the same,
`print` puts it together first.
"""

import builtins
import contextlib
import io
import sys

_NO_INPUT = "workflows have no standard input; pass values as arguments of run"

_print = builtins.print
_join = " ".join


def print(*values, sep=" ", end="\n", file=None, flush=False):
    """Prints the values to a stream, or to sys.stdout by default.

    sep
      string inserted between values, default a space.
    end
      string appended after the last value, default a newline.
    file
      a file-like object (stream); defaults to the current sys.stdout.
    flush
      whether to forcibly flush the stream.
    """
    stream = sys.stdout if file is None else file
    if stream is _stdout or stream is _stderr:
        if sep == " " and end == "\n":
            stream.write(f"{values[0]!s}\n" if len(values) == 1 else _join(map(str, values)) + "\n")
            return
        if (sep is None or isinstance(sep, str)) and (end is None or isinstance(end, str)):
            stream.write((" " if sep is None else sep).join(map(str, values)) + ("\n" if end is None else end))
            return
    _print(*values, sep=sep, end=end, file=file, flush=flush)


print.__module__ = "builtins"


def input(prompt="", /):
    """There is no standard input in a workflow."""
    print(prompt, end="")
    raise EOFError(f"EOF when reading a line: {_NO_INPUT}")


input.__module__ = "builtins"


class _NoInput(io.RawIOBase):
    """Standard input: every way to read it is refused."""

    name = "<stdin>"
    mode = "r"
    encoding = "utf-8"
    errors = "strict"

    @property
    def buffer(self):
        return self

    def fileno(self):
        return 0

    def readable(self):
        return True

    def _refuse(self, *_args):
        raise io.UnsupportedOperation(_NO_INPUT)

    read = read1 = readall = readinto = readline = readlines = __next__ = _refuse


def flush():
    """Flushes what a workflow has put in the streams' place; they themselves hold nothing back."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not _stdout and stream is not _stderr:
            try:
                stream.flush()
            except BaseException:  # closed, or the host takes no more
                pass


class _Hushed(io.TextIOBase):
    """A stream that says nothing yet: the guest would keep hold of the host's stream otherwise. Whoever binds it
    meanwhile, as handlers of `logging` do, writes to the real one later."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, stream):
        self._stream = stream
        self.is_hushed = True

    def writable(self):
        return True

    def write(self, text):
        return len(text) if self.is_hushed else self._stream.write(text)


@contextlib.contextmanager
def hushed():
    """What is written by `print` and by streams goes nowhere."""
    before = sys.stdout, sys.stderr
    now = sys.stdout, sys.stderr = _Hushed(_stdout), _Hushed(_stderr)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for stream in now:
            stream.is_hushed = False


def install():
    """Makes the streams what this module says. componentize-py's interpreter has them unbuffered."""
    global _stdout, _stderr
    _stdout, _stderr = sys.stdout, sys.stderr
    for stream in (_stdout, _stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", write_through=True)
    sys.stdin = sys.__stdin__ = _NoInput()
    builtins.print = print
    builtins.input = input

"""What cannot work in a sandbox fails with an error that names the way out.

The types of the exceptions stay what a program expects of the platform; only the words are ours.
"""

import errno
import sys

from wit_world.imports import images

from . import stdlib

_TOOLS = "call a tool instead (tools.list() shows them)"
_NO_SOCKETS = f"workflows cannot open sockets; {_TOOLS}"
_NO_NAMES = f"workflows cannot resolve names; {_TOOLS}"
_NO_PROCESSES = f"workflows cannot start processes; {_TOOLS}"
_NO_THREADS = "workflows have no threads; use asyncio.gather with .call_async(...), or asyncio.to_thread, which runs in place"

_MISSING_IN_OS = frozenset({
    "fork", "forkpty", "system", "posix_spawn", "posix_spawnp", "execv", "execve", "execvp", "execvpe", "execl", "execle",
    "execlp", "pipe", "WNOHANG", "spawnl", "spawnle", "spawnlp", "spawnv", "spawnve", "spawnvp", "kill", "killpg", "wait", "waitpid",
})  # fmt: skip

_NO_C_HALF = frozenset({
    "_bz2", "_ctypes", "_curses", "_dbm", "_gdbm", "_interpreters", "_lzma", "_multiprocessing", "_posixshmem", "_posixsubprocess", "_ssl", "_tkinter",
    "ctypes", "curses", "fcntl", "grp", "mmap", "pwd", "readline", "resource", "syslog", "termios", "tkinter", "_zstd",
})  # fmt: skip

_WAYS_OUT = {
    "_ssl": _NO_SOCKETS,
    "_multiprocessing": _NO_PROCESSES,
    "_posixsubprocess": _NO_PROCESSES,
    "_bz2": "zlib and gzip are there",
    "_lzma": "zlib and gzip are there",
    "_zstd": "zlib and gzip are there",
}


def install():
    """Arranges the refusals; modules that are not loaded yet get theirs when they are."""
    sys.meta_path.append(_NotThere)
    for name, change in {
        "os": _change_os,
        "socket": _change_socket,
        "subprocess": _change_subprocess,
        "threading": _change_threading,
        "urllib.request": _change_urllib,
        "_thread": _change_low_level_threading,
        "hashlib": _change_hashlib,
    }.items():
        if name in sys.modules:
            change(sys.modules[name])
        else:
            stdlib.after_import[name] = change


def check_imports(*modules):
    """Wraps the functions of the WIT imports, for workflows that reach for them: half a surrogate pair
    in an argument would end the instance, and raises instead. (What this runtime bound before, it checks itself.)"""
    for module in modules:
        for name, function in list(vars(module).items()):
            if callable(function) and getattr(function, "__module__", None) == module.__name__ and not isinstance(function, type):
                setattr(module, name, _checked(function))


def _checked(function):
    def call(*args):
        for value in args:
            if isinstance(value, str):
                value.encode()
        return function(*args)

    return call


class _NotThere:
    """The last finder: explains why there is no such module."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        top = name.partition(".")[0]
        if name in _NO_C_HALF:
            reason = _WAYS_OUT.get(name, "this part of Python needs an operating system, and workflows have none")
        elif name not in _native and (path is not None or name.startswith("_") or top in stdlib._modules or top in sys.stdlib_module_names):
            return None
        else:
            reason = _native.get(name) or _elsewhere(top)
        raise ModuleNotFoundError(f"No module named {name!r}: {reason}", name=name)


_native = {}
"""Module -> why it is not there, of an image's packages."""


def lacks_native(module, package):
    """A module of a package is native code, which was left out."""
    _native[module] = f"it is native code of {package}, which sandboxes cannot run"


def _elsewhere(module):
    """Where a module is that is not here."""
    found = images.providing(module)
    if not found:
        return f"workflows have Python's standard library, and what a runtime image has; for anything else {_TOOLS}, or save it as a workflow"
    one, also = found[0], f" ({', '.join(found[1:])} too)" if found[1:] else ""
    return (
        f"the runtime image {one!r} has it{also}; begin the source with the lines\n"
        f'    # /// script\n    # [tool.repertoire]\n    # runtime = "{one}"\n    # ///'
    )


def _raiser(make):
    def refuse(*_args, **_options):
        raise make()

    return refuse


def _change_os(os):
    def missing(name):
        reason = f": {_NO_PROCESSES}" if name in _MISSING_IN_OS else ""
        raise AttributeError(f"module 'os' has no attribute {name!r}{reason}", name=name, obj=os)

    os.__getattr__ = missing


def _change_socket(socket):
    refuse = _raiser(lambda: PermissionError(errno.EACCES, _NO_SOCKETS))
    socket.socket.__init__ = refuse
    socket.create_connection = socket.create_server = refuse
    refuse_name = _raiser(lambda: PermissionError(errno.EACCES, _NO_NAMES))
    for function in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo"):
        setattr(socket, function, refuse_name)


def _change_urllib(request):
    def refuse(_handler, request):
        raise error.URLError(PermissionError(errno.EACCES, f"cannot open {request.full_url}: {_NO_SOCKETS}"))

    from urllib import error

    request.UnknownHandler.unknown_open = refuse  # https, for want of ssl


def _change_subprocess(subprocess):
    subprocess.Popen.__init__ = _raiser(lambda: OSError(errno.ENOTSUP, _NO_PROCESSES))
    subprocess.Popen._child_created = False  # what __del__ asks first


def _change_threading(threading):
    threading._start_joinable_thread = _raiser(lambda: RuntimeError(f"can't start new thread: {_NO_THREADS}"))


def _change_hashlib(hashlib):
    def pbkdf2_hmac(hash_name, password, salt, iterations, dklen=None):
        """Password based key derivation function 2 (PKCS #5 v2.0) with HMAC, as OpenSSL's, which is not here."""
        import operator

        iterations = operator.index(iterations)
        if iterations < 1:
            raise ValueError("iteration value must be greater than 0.")
        size = hashlib.new(hash_name).digest_size
        dklen = size if dklen is None else operator.index(dklen)
        if dklen < 1:
            raise ValueError("key length must be greater than 0.")
        import hmac

        keyed = hmac.new(bytes(password), digestmod=hash_name).copy
        derived = bytearray()
        for block in range(1, -(-dklen // size) + 1):
            mixer = keyed()
            mixer.update(bytes(salt) + block.to_bytes(4))
            digest = mixer.digest()
            result = int.from_bytes(digest)
            for _ in range(iterations - 1):
                mixer = keyed()
                mixer.update(digest)
                digest = mixer.digest()
                result ^= int.from_bytes(digest)
            derived += result.to_bytes(size)
        return bytes(derived[:dklen])

    def missing(name):
        reason = ": it needs OpenSSL, and workflows have none; use hashlib.pbkdf2_hmac" if name == "scrypt" else ""
        raise AttributeError(f"module 'hashlib' has no attribute {name!r}{reason}", name=name, obj=hashlib)

    hashlib.pbkdf2_hmac = pbkdf2_hmac
    hashlib.__getattr__ = missing


def _change_low_level_threading(thread):
    thread.start_new_thread = thread.start_joinable_thread = _raiser(
        lambda: RuntimeError(f"can't start new thread: {_NO_THREADS}")
    )

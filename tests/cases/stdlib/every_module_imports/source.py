# Every module of the standard library, except those that are named here, can be imported.
import importlib
import sys

LEFT_OUT = {
    # Need an operating system, a terminal or a C library that a sandbox has not.
    "_bz2", "_ctypes", "_curses", "_curses_panel", "_dbm", "_gdbm", "_hashlib", "_lzma", "_multiprocessing", "_osx_support",
    "_overlapped", "_posixshmem", "_posixsubprocess", "_scproxy", "_ssl", "_tkinter", "_winapi", "_wmi", "_zstd", "bz2", "ctypes",
    "curses", "fcntl", "grp", "idlelib", "lzma", "mmap", "msvcrt", "nt", "ossaudiodev", "pwd", "readline", "resource",
    "ssl", "syslog", "termios", "tkinter", "tty", "pty", "turtle", "turtledemo", "winreg", "winsound", "ensurepip", "venv",
    "_interpchannels", "_interpqueues", "_interpreters", "_remote_debugging", "_uuid", "pydoc_data", "_msi", "_crypt", "nis", "spwd", "dbm.gnu", "dbm.ndbm", "_android_support", "_apple_support", "_ios_support",
}
# Print, or open a browser, when they are imported.
WITH_EFFECTS = {"antigravity", "this"}


def run() -> dict:
    failed, count = {}, 0
    for name in sorted(sys.stdlib_module_names - LEFT_OUT - WITH_EFFECTS):
        try:
            importlib.import_module(name)
            count += 1
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {error}"
    return {"failed": failed, "more than 200": count > 200}

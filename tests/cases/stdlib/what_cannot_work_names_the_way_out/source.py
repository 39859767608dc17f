import asyncio
import concurrent.futures
import os
import socket
import subprocess
import threading
import urllib.request


def connect():
    socket.socket(socket.AF_INET, socket.SOCK_STREAM).connect(("127.0.0.1", 9))


DOORS = {
    "socket": connect,
    "create_connection": lambda: socket.create_connection(("127.0.0.1", 9)),
    "getaddrinfo": lambda: socket.getaddrinfo("example.org", 80),
    "urlopen": lambda: urllib.request.urlopen("http://127.0.0.1:9/"),
    "subprocess": lambda: subprocess.run(["id"]),
    "popen": lambda: os.popen("id"),
    "fork": lambda: os.fork(),
    "system": lambda: os.system("id"),
    "posix_spawn": lambda: os.posix_spawn("/bin/id", ["id"], {}),
    "thread": lambda: threading.Thread(target=print).start(),
    "pool": lambda: concurrent.futures.ThreadPoolExecutor().submit(print),
    "ctypes": lambda: __import__("ctypes"),
    "ssl": lambda: __import__("ssl"),
    "mmap": lambda: __import__("mmap"),
    "lzma": lambda: __import__("lzma"),
    "numpy": lambda: __import__("numpy"),
    "requests": lambda: __import__("requests"),
}
WAYS_OUT = ("tool", "asyncio", "operating system", "zlib", "argument")


def run() -> dict:
    ended = {}
    for name, door in DOORS.items():
        try:
            door()
            ended[name] = "it worked"
        except Exception as error:
            named = any(way in str(error) for way in WAYS_OUT)
            ended[name] = type(error).__name__ + ("" if named else f" without a way out: {error}")
    return ended

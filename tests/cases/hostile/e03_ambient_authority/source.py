import io
import os
import sys

def run():
    try:
        read = sys.stdin.read()
    except io.UnsupportedOperation:  # there is nothing to read, and the message says so
        read = None
    return {"env": dict(os.environ), "argv": sys.argv, "stdin": read, "pid": os.getpid() < 100}

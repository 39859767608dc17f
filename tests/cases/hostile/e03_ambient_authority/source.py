import os
import sys

def run():
    return {"env": dict(os.environ), "argv": sys.argv, "stdin": sys.stdin.read(), "pid": os.getpid() < 100}

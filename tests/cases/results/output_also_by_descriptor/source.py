import os
import sys

def run():
    print("one")
    sys.stdout.write("two\n")
    sys.stdout.flush()
    os.write(1, b"three\n")
    print("é😀", flush=True)
    print("not here", file=sys.stderr)

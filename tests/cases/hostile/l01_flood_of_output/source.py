import sys

def run():
    for _ in range(200_000):
        sys.stdout.write("A" * 10_000)
    return "done"

raise SystemExit("must not run")

def run(a: __import__("os").abort() = print("no")):
    pass

def run(a, /):
    pass

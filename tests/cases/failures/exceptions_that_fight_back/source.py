class Bad(Exception):
    def __str__(self):
        raise SystemExit(1)

    __repr__ = __str__

def run():
    raise Bad()

def run(n: int):
    return eval("(" * n + "1" + ")" * n)

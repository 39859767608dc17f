def run(n: int): return workflows.pong(n=n + 1)

def run(n: int): return workflows.ping(n=n + 1)

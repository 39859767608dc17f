def run():
    n = 0
    while True:
        workflows.create(f"n11_{n}", "def run(): return 1")
        workflows.invoke(f"n11_{n}")
        n += 1

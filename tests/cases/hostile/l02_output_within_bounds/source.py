def run():
    print("A" * 500_000)
    return "done"

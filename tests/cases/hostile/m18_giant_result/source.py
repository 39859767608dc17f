def run():
    return "A" * (50 << 20)

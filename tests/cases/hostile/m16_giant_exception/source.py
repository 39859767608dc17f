def run():
    raise Exception("E" * (20 << 20))

def run():
    return run

def run():
    return 1j

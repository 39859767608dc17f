def run():
    return (n for n in range(3))

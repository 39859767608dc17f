def run():
    return (3 ** (10**9)) & 1

def run() -> list:
    return [7**6000 % 10**10, 10**5000]

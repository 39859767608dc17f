"""Arithmetic in a loop."""


def run():
    total = 0
    for i in range(250000):
        total += i * i % 7
    return total

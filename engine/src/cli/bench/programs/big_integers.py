"""Integers of many digits."""


def run():
    a, b = 0, 1
    for _ in range(6000):
        a, b = b, a + b
    power = pow(3, 4000)
    return (a * power) % 1000000007 + len(hex(power)) + pow(7, 12345, 10**40) % 1000003

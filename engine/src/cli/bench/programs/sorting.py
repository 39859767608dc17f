"""Sorting, by keys and without."""


def run():
    state = 12345
    numbers = []
    for _ in range(20000):
        state = (state * 1103515245 + 12345) % 2147483648
        numbers.append(state)
    pairs = sorted(numbers, key=lambda n: (n % 1000, n))
    return pairs[0] + pairs[-1] + sorted(numbers, reverse=True)[100]

"""Dictionaries: counting and grouping."""


def run():
    counts = {}
    groups = {}
    for i in range(40000):
        key = "key" + str(i * 7919 % 997)
        counts[key] = counts.get(key, 0) + 1
        groups.setdefault(i % 13, []).append(i)
    return sum(counts.values()) + sum(len(group) for group in groups.values()) + len(counts)

import itertools

def run():
    return sum(itertools.repeat(1))

import sys

def run():
    sys.setrecursionlimit(10**9)

    def endless(n):
        return endless(n + 1)

    endless(0)

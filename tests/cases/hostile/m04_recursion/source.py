def run():
    endless = lambda n: endless(n + 1)
    endless(0)

class RateLimited(Exception):
    def __init__(self, seconds):
        super().__init__(f"wait {seconds} s")

def run():
    raise RateLimited(5)

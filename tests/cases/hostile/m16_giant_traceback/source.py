class Loud(Exception):
    pass

def run():
    error = None
    for n in range(2000):
        try:
            raise Loud("x" * 1000) from error
        except Loud as caught:
            error = caught
    raise error

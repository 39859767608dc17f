import sys

def run():
    sys.set_int_max_str_digits(0)
    return len(str(7**3_000_000))

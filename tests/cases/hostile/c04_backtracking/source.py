import re

def run():
    return bool(re.match(r"(a|a)*$", "a" * 40 + "b"))

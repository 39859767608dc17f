import os
import sys

def run(how: str):
    if how == "sys":
        sys.exit(3)
    if how == "os":
        os._exit(3)
    if how == "abort":
        os.abort()
    if how == "kbd":
        raise KeyboardInterrupt
    if how == "generator":
        raise GeneratorExit
    raise BaseException("bare")

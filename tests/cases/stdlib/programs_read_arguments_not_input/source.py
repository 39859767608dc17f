"""What a script for the command line does first: it works, or says what to do instead."""

import argparse
import hashlib
import sys


def told(door):
    try:
        door()
    except Exception as error:
        return [type(error).__name__, "pass values as arguments of run" in str(error) or "pbkdf2_hmac" in str(error)]
    return "it worked"


def run():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=3)
    return {
        "argv": sys.argv,
        "argparse": [vars(parser.parse_args()), parser.format_usage()],
        "input": told(lambda: input("name? ")),
        "stdin": told(sys.stdin.read),
        "lines": told(lambda: list(sys.stdin)),
        "bytes": told(lambda: sys.stdin.buffer.read()),
        "scrypt": told(lambda: hashlib.scrypt(b"", salt=b"", n=2, r=1, p=1)),
        # RFC 6070 and RFC 7914
        "pbkdf2": [
            hashlib.pbkdf2_hmac("sha1", b"password", b"salt", 2).hex(),
            hashlib.pbkdf2_hmac("sha256", b"passwd", b"salt", 1, 64).hex()[:32],
        ],
    }

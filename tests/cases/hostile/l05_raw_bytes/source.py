import sys

def run():
    sys.stdout.buffer.write(b"\xff\xfe\x00\xed\xa0\x80" * 2)
    sys.stdout.flush()

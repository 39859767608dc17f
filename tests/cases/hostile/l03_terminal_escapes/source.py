# Captured as it was written; whoever shows it on a terminal escapes it.
def run():
    print("\x1b]52;c;ZXZpbA==\x07\x1b[2J")
    return "\x1b[31m"

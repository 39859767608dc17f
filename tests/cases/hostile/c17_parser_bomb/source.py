def run():
    ended = {}
    for name, source in {
        "parentheses": "x=" + "(" * 100_000 + "1" + ")" * 100_000,
        "brackets": "def run(): return " + "[" * 5000 + "]" * 5000,
        "unary": "def run(): return " + "-" * 50_000 + "1",
        "attributes": "def run(): return a" + ".a" * 50_000,
        "too large": "#" * (2 << 20) + "\ndef run(): return 1",
        "null byte": "def run(): return 1\0",
    }.items():
        try:
            workflows.create(name.replace(" ", "_"), source)
            ended[name] = "created"
        except Exception as error:
            ended[name] = getattr(error, "code", type(error).__name__)
    return ended

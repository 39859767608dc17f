import json

def run(n: int):
    json.loads("[" * n + "]" * n)
    return "ok"

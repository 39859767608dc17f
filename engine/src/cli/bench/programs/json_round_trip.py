"""JSON: there and back again."""

import json


def run():
    rows = [{"id": i, "name": "row " + str(i), "tags": ["a", "b"], "score": i / 3, "ok": i % 2 == 0} for i in range(200)]
    total = 0
    for _ in range(12):
        text = json.dumps(rows)
        total += len(text) + len(json.loads(text))
    return total

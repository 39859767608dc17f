"""Regular expressions: finding and replacing."""

import re


def run():
    text = "On 2026-11-23 user@example.org sent 42 items; on 2025-01-02 root@localhost.test sent 7. " * 20
    total = 0
    for _ in range(12):
        total += len(re.findall(r"(\d{4})-(\d{2})-(\d{2})", text))
        total += len(re.findall(r"[a-z]+@[a-z]+\.[a-z]+", text))
        total += len(re.sub(r"\b(\d+) items", r"<\1>", text))
    return total

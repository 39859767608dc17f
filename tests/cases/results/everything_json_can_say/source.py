def run():
    return {
        "null": None, "booleans": [True, False], "whole": [0, -1, 2**53 + 1, -(2**63), 10**30],
        "floats": [0.1, -2.5, 1e300, 5e-324, 1e22, 0.30000000000000004],
        "text": ["", "é", "\u2028", "\x00", "😀", "\"\\/\b\f\n\r\t", "\x7f"],
        "empty": [[], {}], "nested": {"a": {"b": [{"c": []}]}}, "": "empty key", "ключ": 1,
    }

def run(k: int):
    return [float("nan"), float("inf"), "\ud800", {"a": "\udfff"}, {"\ud800": 1}][k]

def run(n: int):
    try:
        return workflows.count_down_catching(n=n + 1)
    except RuntimeError as error:
        return n + 1 if error.code == "depth-exceeded" else str(error)

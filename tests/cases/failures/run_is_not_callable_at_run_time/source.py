def run():
    return 1

globals()["run"] = 3

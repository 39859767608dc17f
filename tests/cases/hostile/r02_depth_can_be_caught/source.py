def run():
    return workflows.count_down_catching(n=0)

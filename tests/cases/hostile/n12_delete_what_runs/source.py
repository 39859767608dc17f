# What runs goes on, also when its name is gone.
def run():
    return [workflows.n12_middle(), "still here"]

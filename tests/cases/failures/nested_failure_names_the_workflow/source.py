def run():
    return workflows.always_raises(number=3)

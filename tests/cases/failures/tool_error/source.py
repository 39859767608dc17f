def run():
    return tools.test.fail(message="the service says no")

def run():
    return tools.test.hang()

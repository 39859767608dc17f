def run():
    try:
        tools.test.big(n=1 << 25)
    except Exception as error:
        return [error.code, len(tools.test.big(n=1 << 20))]

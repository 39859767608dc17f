def run():
    while True:
        try:
            tools.test.hang()
        except BaseException:
            print("again")

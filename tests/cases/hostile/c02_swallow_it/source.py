def run():
    while True:
        try:
            while True:
                pass
        except BaseException:
            print("again")
        finally:
            print("again")

# The same doors, used as they are meant: what the refusals of e07 and e08 are measured against.
def run():
    def harmless():
        return 1

    harmless.__code__ = harmless.__code__.replace(co_code=harmless.__code__.co_code)
    return harmless()

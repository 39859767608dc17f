def run():
    def victim():
        return 1

    code = victim.__code__
    victim.__code__ = code.replace(co_code=code.co_code[:2] + bytes([83, 255]) * 4, co_consts=())
    return victim()

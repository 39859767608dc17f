def run():
    block = bytearray(100 << 20)
    while True:
        block[1:] = block[:-1]

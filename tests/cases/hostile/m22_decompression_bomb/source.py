import zlib

def run():
    bomb = zlib.compress(bytes(8 << 20))
    return [zlib.decompress(bomb) for _ in range(40)]

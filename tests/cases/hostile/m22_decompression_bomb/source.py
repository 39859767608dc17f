import zlib

def run():
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    bomb = zlib.compress(bomb * 16)
    data = zlib.decompress(bomb)
    return len(zlib.decompress(data))  and len(bytearray(1 << 30))

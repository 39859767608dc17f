def run():
    held = []
    try:
        while True:
            held.append(bytearray(1 << 20))
    except MemoryError:
        count = len(held)
        held.clear()
        return count > 150

def run():
    ring = []
    ring.append({"ring": ring})
    return ring

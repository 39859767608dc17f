def run():
    return {"data": b"abc"}

def run():
    return {"a": {1: 2}}

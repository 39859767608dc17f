def run(url, cb, n: int):
    try:
        return url
    except:
        return None

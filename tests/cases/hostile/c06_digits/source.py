def run():
    return str(10**5000)

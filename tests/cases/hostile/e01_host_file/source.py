def run():
    return open("/etc/passwd").read()

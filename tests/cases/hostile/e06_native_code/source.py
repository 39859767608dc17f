def run():
    ended = {}
    for module in ("ctypes", "_ctypes", "mmap", "resource", "_posixsubprocess", "_testcapi", "_xxsubinterpreters", "_interpreters"):
        try:
            __import__(module)
            ended[module] = "IMPORTED"
        except ImportError:
            ended[module] = "no"
    return ended

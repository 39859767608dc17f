import os

def run():
    ended = {}
    for path in ("/", ".", "..", "/python", "/proc/self", "/dev", "\\\\?\\C:", "/0", "/bundled/../..", "", "~"):
        try:
            ended[path] = os.listdir(path)
        except OSError as error:
            ended[path] = "refused"
    for name, door in {"stat": lambda: os.stat("/etc"), "mkdir": lambda: os.mkdir("x"), "open": lambda: os.open("/tmp/x", os.O_CREAT | os.O_WRONLY),
                       "rename": lambda: os.rename("/etc/passwd", "/tmp/p"), "readlink": lambda: os.readlink("/proc/self/exe")}.items():
        try:
            ended[name] = repr(door())
        except OSError:
            ended[name] = "refused"
    return set(ended.values()) == {"refused"} or ended

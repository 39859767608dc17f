import os
import subprocess
import threading

def run():
    ended = []
    for door in (
        lambda: subprocess.run(["id"]),
        lambda: os.fork(),
        lambda: os.posix_spawn("/bin/id", ["id"], {}),
        lambda: threading.Thread(target=print).start(),
    ):
        try:
            door()
            ended.append("RAN")
        except Exception as error:
            ended.append(type(error).__name__)
    return ended

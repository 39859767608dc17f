import socket

def run():
    ended = []
    for family, address in ((socket.AF_INET, ("127.0.0.1", 9)), (socket.AF_INET6, ("::1", 9)), (socket.AF_INET, ("169.254.169.254", 80))):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            try:
                with socket.socket(family, kind) as door:
                    door.connect(address)
                ended.append("CONNECTED")
            except Exception as error:
                ended.append(type(error).__name__)
    return ended

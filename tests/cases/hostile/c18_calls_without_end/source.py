import wit_world.imports.calls as raw_calls

# Each call returns at once and costs little: the thread has to be given up all the same.
def run():
    while True:
        raw_calls.wait(0)

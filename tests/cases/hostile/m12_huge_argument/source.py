import wit_world.imports.tools as raw

def run():
    raw.call("test", "echo", "A" * (60 << 20))

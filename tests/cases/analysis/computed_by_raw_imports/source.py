import wit_world.imports.tools as raw

def run():
    return raw.call("curl", "get", "{}")

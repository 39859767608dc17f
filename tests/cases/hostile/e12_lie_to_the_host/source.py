# Replaces the runtime's own encoder: what arrives is not JSON, and the host says so.
def run():
    from repertoire_guest import jsontext, perform
    lie = lambda *a, **k: '{"ok": 1}\n{"admin": true}'
    for module in (jsontext, perform):
        for name in dir(module):
            if "encode" in name or name == "_result":
                setattr(module, name, lie)
    return {"value": 1}

import wit_world.imports.tools as raw

def run():
    accepted = []
    for arguments in (
        '{"x":1,"env":{"LD_PRELOAD":"/x"}}', '{"x":1,"x":2}', '{"x":1e999}', '{"x":[1]}', '{"x":true}',
        '[1]', '"s"', 'null', '{"x":1}garbage', '', '{}', '{"x":NaN}', '{"X":1}', '{"x":"1"}',
    ):
        try:
            raw.call("test", "typed", arguments)
            accepted.append(arguments)
        except Exception:
            pass
    return [accepted, raw.call("test", "typed", '{"x":7}')]

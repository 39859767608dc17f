import wit_world.imports.calls as raw_calls
import wit_world.imports.tools as raw

# Each argument is small enough and they are few enough; together they are the host's memory.
def run():
    text = '{"x": "' + "A" * (1 << 20) + '"}'
    started = {raw.start("test", "hang_with", text) for _ in range(80)}
    refused = []
    while len(refused) < 17:
        refused += raw_calls.wait(None)
    codes = {completion.stop.value.code.name for completion in refused}
    for call in started:
        raw_calls.cancel(call)
    # Room again, now that nothing is held.
    raw.start("test", "echo", text)
    [answered] = raw_calls.wait(None)
    return [len(refused), list(codes), len(answered.stop.value) > 1 << 20]

import asyncio

async def one():
    await asyncio.sleep(0)
    return 1

def run():
    loop = asyncio.new_event_loop()
    first = loop.run_until_complete(one())
    loop.close()
    with asyncio.Runner() as runner:
        second = runner.run(one())
    return [first, second]

import asyncio

async def after(ms):
    await asyncio.sleep(ms / 1000)
    return ms

async def run():
    order = [await each for each in asyncio.as_completed([after(60), after(10), after(30)])]
    done, pending = await asyncio.wait([asyncio.create_task(after(1)), asyncio.create_task(after(3000))], return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    return [order, len(done), len(pending)]

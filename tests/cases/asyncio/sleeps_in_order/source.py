import asyncio

async def run():
    seen = []

    async def wait(ms):
        await asyncio.sleep(ms / 1000)
        seen.append(ms)

    await asyncio.gather(wait(60), wait(20), wait(40))
    return seen

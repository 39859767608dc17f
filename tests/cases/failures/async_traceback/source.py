import asyncio

async def fetch(n):
    await asyncio.sleep(0)
    raise LookupError(n)

async def run():
    await asyncio.gather(fetch(1))

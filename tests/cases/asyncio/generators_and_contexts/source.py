import asyncio
import contextlib

@contextlib.asynccontextmanager
async def opened(log):
    log.append("open")
    try:
        yield "it"
    finally:
        await asyncio.sleep(0)
        log.append("close")

async def count(n):
    for number in range(n):
        await asyncio.sleep(0)
        yield number

async def run():
    log = []
    async with opened(log) as it:
        numbers = [number async for number in count(3)]
    return [it, numbers, log]

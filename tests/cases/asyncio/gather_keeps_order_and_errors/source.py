import asyncio

async def later(seconds, value):
    await asyncio.sleep(seconds)
    if value < 0:
        raise ValueError(value)
    return value

async def run():
    values = await asyncio.gather(later(0.03, 1), later(0.01, 2), later(0.02, -3), return_exceptions=True)
    return [value if isinstance(value, int) else repr(value) for value in values]

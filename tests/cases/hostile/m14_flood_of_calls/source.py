import asyncio

async def run():
    return len(await asyncio.gather(*[tools.test.hang.call_async() for _ in range(20_000)]))

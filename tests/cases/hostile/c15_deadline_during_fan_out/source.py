import asyncio

async def run():
    return await asyncio.gather(*[tools.test.hang.call_async() for _ in range(32)])

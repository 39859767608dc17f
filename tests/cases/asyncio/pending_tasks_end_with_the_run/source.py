import asyncio

async def run():
    asyncio.ensure_future(tools.test.hang.call_async())
    return 1

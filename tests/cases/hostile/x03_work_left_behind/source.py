import asyncio

async def run():
    asyncio.ensure_future(tools.test.hang.call_async())
    await asyncio.sleep(0.01)
    return 1

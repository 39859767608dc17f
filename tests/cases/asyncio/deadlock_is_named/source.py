import asyncio

async def run():
    await asyncio.Event().wait()

import asyncio

async def run():
    loop = asyncio.get_running_loop()
    return [await asyncio.to_thread(pow, 2, 10), await loop.run_in_executor(None, len, "abc")]

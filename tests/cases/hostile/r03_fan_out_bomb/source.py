import asyncio

async def run():
    # An instance that found no memory is no reason to stop.
    while True:
        await asyncio.gather(*[workflows.invoke_async("bomb") for _ in range(8)], return_exceptions=True)

import asyncio

async def run():
    while True:
        await asyncio.gather(*[workflows.invoke_async("bomb") for _ in range(8)], return_exceptions=True)

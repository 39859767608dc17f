import asyncio

async def run():
    return await asyncio.gather(*[workflows.invoke_async("bomb") for _ in range(8)])

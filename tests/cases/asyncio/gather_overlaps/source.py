import asyncio

async def run() -> list:
    """Ten waits of 200 ms each take about as long as one: the bound leaves room for a busy machine."""
    return await asyncio.gather(*[tools.test.sleep.call_async(ms=200) for _ in range(10)])

import asyncio

# Each argument is small enough and they are few enough; together they are the host's memory.
async def run():
    text = "A" * (1 << 20)
    return len(await asyncio.gather(*[tools.test.hang_with.call_async(x=text) for _ in range(80)]))

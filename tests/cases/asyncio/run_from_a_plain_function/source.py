import asyncio

async def main(n):
    await asyncio.sleep(0.01)
    return sum(answer["x"] for answer in await asyncio.gather(*[tools.test.echo.call_async(x=i) for i in range(n)]))

def run(n: int) -> int:
    return asyncio.run(main(n)) + asyncio.run(main(2))

import asyncio

async def run():
    answers = await asyncio.gather(*[tools.test.echo.call_async(x=i) for i in range(1000)])
    return sum(answer["x"] for answer in answers)

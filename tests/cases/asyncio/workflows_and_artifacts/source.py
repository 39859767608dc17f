import asyncio

async def run():
    squares = await asyncio.gather(*[workflows.invoke_async("square_number", number=n) for n in range(5)])
    artifacts.save("squares", squares)
    return [artifacts.load("squares"), workflows.square_number(number=9)]

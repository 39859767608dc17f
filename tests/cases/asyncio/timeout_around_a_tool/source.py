import asyncio

async def run():
    try:
        async with asyncio.timeout(0.05):
            await tools.test.hang.call_async()
    except TimeoutError:
        return await tools.test.echo.call_async(x="still works")

import asyncio

first = await tools.test.echo.call_async(x=1)
both = await asyncio.gather(tools.test.echo.call_async(x=2), tools.test.echo.call_async(x=3))
async with asyncio.timeout(5):
    await asyncio.sleep(0.01)
[first, *both]

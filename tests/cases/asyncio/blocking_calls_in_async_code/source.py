async def run():
    first = tools.test.echo(x=1)
    second = await tools.test.echo.call_async(x=2)
    return [first, second]

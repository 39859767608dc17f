import asyncio

async def run():
    task = asyncio.create_task(tools.test.hang.call_async())
    await asyncio.sleep(0.02)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return "cancelled"

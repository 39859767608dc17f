import asyncio

async def run():
    cancelled = []

    async def wait():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append("wait")
            raise

    async def fail():
        await asyncio.sleep(0.01)
        raise ValueError("no")

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(wait())
            group.create_task(fail())
    except* ValueError as errors:
        caught = [str(error) for error in errors.exceptions]
    return [cancelled, caught]

import asyncio

async def run():
    async def double(number):
        await asyncio.sleep(0.01)
        return 2 * number

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(double(number)) for number in range(4)]
    return [task.result() for task in tasks]

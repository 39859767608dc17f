import asyncio

async def main():
    await asyncio.sleep(0.01)
    return "done"

asyncio.run(main())

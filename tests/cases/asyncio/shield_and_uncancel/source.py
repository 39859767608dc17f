import asyncio

async def run():
    done = []

    async def important():
        await asyncio.sleep(0.05)
        done.append(True)

    inner = asyncio.create_task(important())
    try:
        await asyncio.wait_for(asyncio.shield(inner), 0.01)
    except TimeoutError:
        await inner
    return done

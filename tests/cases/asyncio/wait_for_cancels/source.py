import asyncio

async def run():
    cancelled = []

    async def forever():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    try:
        await asyncio.wait_for(forever(), 0.02)
    except TimeoutError:
        return {"timed out": True, "cancelled": cancelled}

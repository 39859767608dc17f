import asyncio

async def run():
    seen, line, lock, event = [], asyncio.Queue(maxsize=1), asyncio.Lock(), asyncio.Event()

    async def produce():
        for number in range(3):
            await line.put(number)
        event.set()

    async def consume():
        for _ in range(3):
            async with lock:
                seen.append(await line.get())

    await asyncio.gather(produce(), consume(), event.wait())
    semaphore, busy, most = asyncio.Semaphore(2), 0, 0

    async def work():
        nonlocal busy, most
        async with semaphore:
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(0.005)
            busy -= 1

    await asyncio.gather(*[work() for _ in range(6)])
    return [seen, most]

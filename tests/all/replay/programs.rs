//! What is recorded and replayed.

/// Programs that come out differently each time, unless time, chance, order
/// and answers are the recorded ones. `n` is different in each run.
pub(super) const PROGRAMS: [(&str, &str); 24] = [
    ("random_numbers", "
import random
def run(n: int):
    items = list(range(20)); random.shuffle(items)
    return [random.random(), random.gauss(), random.choices('abc', k=n + 1), items, random.getrandbits(200)]"),
    ("secret_numbers", "
import os, random, secrets, uuid
def run(n: int):
    return [secrets.token_hex(n + 1), str(uuid.uuid4()), str(uuid.uuid1()), os.urandom(4).hex(), random.SystemRandom().random()]"),
    ("clocks", "
import datetime, time
def run(n: int):
    end, turns = time.monotonic() + 0.001 * (n % 3 + 1), 0
    while time.monotonic() < end: turns += 1
    return [turns, time.time(), time.time_ns(), time.perf_counter(), str(datetime.datetime.now())]"),
    ("sleeps", "
import time
def run(n: int):
    before = time.perf_counter(); time.sleep(0.002 * (n % 3)); return time.perf_counter() - before"),
    ("gathered", "
import asyncio, random
async def nap(i):
    await tools.test.sleep.call_async(ms=random.randrange(6)); order.append(i); return i
async def run(n: int):
    global order; order = []
    return [await asyncio.gather(*[nap(i) for i in range(6)]), order]"),
    ("as_completed", "
import asyncio, random
async def run(n: int):
    calls = [tools.test.sleep.call_async(ms=random.randrange(5)) for _ in range(5)]
    return [await done for done in asyncio.as_completed(calls)]"),
    ("times_out", "
import asyncio, time
async def run(n: int):
    try:
        async with asyncio.timeout(0.004): await tools.test.sleep.call_async(ms=5000 if n % 2 else 1)
        return 'in time'
    except TimeoutError: return ['late', time.monotonic()]"),
    ("groups", "
import asyncio
async def fail(n):
    await tools.test.sleep.call_async(ms=n % 4); await tools.test.fail.call_async(message=f'no {n}')
async def run(n: int):
    try:
        async with asyncio.TaskGroup() as group:
            for i in range(3): group.create_task(fail(i + n))
            group.create_task(tools.test.hang.call_async())
    except ExceptionGroup as several: return sorted(map(str, several.exceptions))"),
    ("timers", "
import asyncio, random, time
async def run(n: int):
    seen = []
    async def tick(i):
        await asyncio.sleep(random.random() / 300); seen.append((i, time.monotonic()))
    await asyncio.gather(*map(tick, range(5)), tools.test.sleep.call_async(ms=2)); return seen"),
    ("invokes", "
def run(n: int):
    return [workflows.random_numbers(n=n), workflows.clocks(n=n), workflows.invoke('gathered', n=n)]"),
    ("fans_out", "
import asyncio
async def run(n: int):
    names = ['as_completed', 'secret_numbers', 'sleeps', 'raises', 'timers']
    answers = await asyncio.gather(*[workflows.invoke_async(name, n=n) for name in names * 2], return_exceptions=True)
    return [str(answer) for answer in answers]"),
    ("keeps", "
def run(n: int):
    saved = artifacts.save(f'kept {n}', {'n': n, 'text': 'é' * n}, description='of a test')
    artifacts.save('bytes', bytes(range(n)))
    return [saved.run_id, saved.created_at, artifacts.load(f'kept {n}'), str(artifacts.load('bytes')), len(artifacts.list()), artifacts.delete('none')]"),
    ("raises", "
import uuid
def run(n: int):
    print('about to fail'); raise ValueError(str(uuid.uuid4())) from KeyError(n)"),
    ("tool_fails", "def run(n: int): return tools.test.fail(message=f'refused {n}')"),
    ("loops", "def run(n: int):\n print('begun')\n while True: pass"),
    ("hoards", "
def run(n: int):
    blocks = []
    try:
        while True: blocks.append(bytearray((n + 1) << 20))
    except MemoryError:
        held = len(blocks); del blocks
        return held"),
    ("addresses", "
class Thing: pass
def run(n: int):
    things = {Thing() for _ in range(n + 5)}
    return [id(things), [hex(id(x)) for x in things], hash('text'), list({'a', 'b', str(n)}), repr(object())]"),
    ("prints", "
import sys
def run(n: int):
    for i in range(n * 10): print(i, 'ü' * i)
    print('to standard error', file=sys.stderr)"),
    ("looks_around", "
def run(n: int):
    try: workflows.create('run', 'def run(): return 1')
    except Exception as e: taken = str(e)
    return [len(workflows.list()), [hit.score for hit in workflows.search('numbers by chance')], workflows.get('none'), taken,
            [tool.name for tool in tools.list()], [tool.name for tool in tools.search('asks')], str(tools.test.list())]"),
    ("calls_too_often", "
def run(n: int):
    for i in range(100): tools.test.echo(x=i)"),
    ("talks_too_much", "def run(n: int):\n while True: print('and so on')"),
    ("waits_for_ever", "def run(n: int):\n print('waiting')\n tools.test.echo(x=n)\n tools.test.hang()"),
    ("computes_for_ever", "def run(n: int):\n tools.test.echo(x=n)\n while True: pass"),
    ("sleeps_for_ever", "import time\ndef run(n: int):\n tools.test.echo(x=n)\n time.sleep(1000)"),
];

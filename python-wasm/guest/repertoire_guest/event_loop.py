"""asyncio on the host's completion queue.

`BaseEventLoop` does the scheduling, timers included, and asks its selector to
wait; this selector waits in `calls.wait`, which sleeps until a call that was
started has ended or the next timer is due. So everything that is built on
the loop works as anywhere: gather, TaskGroup, wait_for, timeout, sleep.
"""

import asyncio
import errno
from asyncio import base_events, events, tasks
from math import ceil

from wit_world.imports import calls
from componentize_py_types import Err

from . import errors, jsontext

_in_flight = {}
"""Call id -> the future that waits for it. One for all loops: a completion
may reach an outer loop's future while an inner loop waits."""

_wait = calls.wait
_cancel = calls.cancel
_decode = jsontext.decode
_running_loop = events.get_running_loop
_LONGEST_NS = 2**63


async def answer(call_id):
    """The decoded answer of a call that was started."""
    future = _in_flight[call_id] = _running_loop().create_future()
    try:
        result = await future
    except BaseException:
        if _in_flight.pop(call_id, None) is not None:
            _cancel(call_id)
        raise
    if type(result) is Err:
        raise errors.exception(result.value) from None
    return _decode(result.value)


class _CompletionSelector:
    """What `BaseEventLoop` needs of a selector."""

    def select(self, timeout):
        if timeout is not None:
            timeout = min(ceil(timeout * 1e9), _LONGEST_NS) if timeout > 0 else 0
            if timeout == 0 and not _in_flight:
                return ()
        elif not _in_flight:
            raise RuntimeError(_describe_deadlock())
        for completion in _wait(timeout):
            future = _in_flight.pop(completion.id, None)
            if future is not None and not future.done():
                future.set_result(completion.answer)
        return ()

    def close(self):
        pass


def _describe_deadlock():
    waiting = []
    for task in asyncio.all_tasks(events._get_running_loop()):
        coroutine = task.get_coro()
        while (inner := getattr(coroutine, "cr_await", None)) is not None and hasattr(inner, "cr_frame"):
            coroutine = inner
        frame = getattr(coroutine, "cr_frame", None)
        if frame is not None:
            waiting.append(f"line {frame.f_lineno} in {coroutine.__qualname__}")
    where = " (" + ", ".join(sorted(waiting)[:5]) + ")" if waiting else ""
    return f"deadlock: every task waits{where}, and no call and no timer can wake one"


class HostLoop(base_events.BaseEventLoop):
    """An event loop that waits in the host."""

    def __init__(self):
        super().__init__()
        self._selector = _CompletionSelector()

    def _process_events(self, _events):
        pass

    def _write_to_self(self):
        pass

    def run_in_executor(self, executor, func, *args):
        """Runs `func` at once, in place: there are no threads, and most of what is sent to one only
        wants its result. Inside, no loop is running, as in a thread."""
        self._check_closed()
        future = self.create_future()
        running = events._get_running_loop()
        task = tasks._swap_current_task(running, None) if running else None
        events._set_running_loop(None)
        try:
            result = func(*args)
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(result)
        finally:
            events._set_running_loop(running)
            if running:
                tasks._swap_current_task(running, task)
        return future

    async def shutdown_default_executor(self, timeout=None):
        """There is none."""

    async def create_connection(self, *_args, **_options):
        raise PermissionError(errno.EACCES, "workflows cannot open sockets; call a tool instead (tools.list() shows them)")

    create_datagram_endpoint = create_server = create_unix_connection = create_unix_server = create_connection

    async def getaddrinfo(self, *_args, **_options):
        raise PermissionError(errno.EACCES, "workflows cannot resolve names; call a tool instead (tools.list() shows them)")

    async def subprocess_exec(self, *_args, **_options):
        raise OSError(errno.ENOTSUP, "workflows cannot start processes; call a tool instead (tools.list() shows them)")

    subprocess_shell = subprocess_exec

    def add_signal_handler(self, _signal, _callback, *_args):
        raise NotImplementedError("workflows receive no signals")

    def remove_signal_handler(self, _signal):
        return False


_ready = []
"""Loops made while the component was built, because making one takes longer than most workflows do."""


def _new_loop():
    return _ready.pop() if _ready else HostLoop()


def install():
    """Makes this loop asyncio's only one, and keeps two ready: one for `run`, one for a first `asyncio.run`."""
    global _main
    asyncio.EventLoop = asyncio.SelectorEventLoop = HostLoop
    policy = events._get_event_loop_policy()
    type(policy)._loop_factory = staticmethod(_new_loop)
    _main = HostLoop()
    events.set_event_loop(_main)
    _ready.append(HostLoop())


def complete(coroutine, *, keep_tasks=False):
    """Runs a coroutine to its end and returns its value.

    Tasks that are still pending then are cancelled, as `asyncio.run` does, unless `keep_tasks`: in a
    session a later cell may wait for them.
    """
    loop = _main
    if loop.is_closed():
        loop = install_replacement()
    task = loop.create_task(coroutine)
    try:
        return loop.run_until_complete(task)
    finally:
        if not keep_tasks:
            _tidy(loop)
        elif not task.done():
            _cancel_tasks(loop, {task})


def install_replacement():
    """A workflow closed the main loop; make another."""
    global _main
    _main = HostLoop()
    events.set_event_loop(_main)
    return _main


def _tidy(loop):
    pending = asyncio.all_tasks(loop)
    if pending:
        _cancel_tasks(loop, pending)
    if loop._asyncgens:
        loop.run_until_complete(loop.shutdown_asyncgens())


def _cancel_tasks(loop, pending):
    for task in pending:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
    for task in pending:
        if not task.cancelled() and task.exception() is not None:
            loop.call_exception_handler(
                {"message": "unhandled exception while a pending task was cancelled", "exception": task.exception(), "task": task}
            )

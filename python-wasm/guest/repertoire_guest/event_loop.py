"""asyncio on the host's completion queue.

`BaseEventLoop` does the scheduling, timers included, and asks its selector to
wait; this selector waits in `calls.wait`, which sleeps until a call that was
started has ended or the next timer is due. So everything that is built on
the loop works as anywhere: gather, TaskGroup, wait_for, timeout, sleep.
"""

import asyncio
import errno
import functools
import sys
import threading
from asyncio import base_events, events, format_helpers, tasks
from contextvars import copy_context
from math import ceil

from componentize_py_types import Err
from repertoire import RepertoireError
from wit_world.imports import calls

from . import errors, glue, jsontext

_in_flight = {}
"""Call id -> the future that waits for it. One for all loops: a completion
may reach an outer loop's future while an inner loop waits."""

_call_import = glue.call_import
_WAIT = glue.number(calls.wait)
_CANCEL = glue.number(calls.cancel)
_scan = jsontext._scan
_decode = jsontext.decode
_running_loop = events._get_running_loop
_LONGEST_NS = 2**63


class Answer(asyncio.Future):
    """The answer of a call that was started: what `call_async` returns. A thousand of them need no tasks."""

    __slots__ = ("_call_id", "_group")

    def cancel(self, msg=None):
        if not super().cancel(msg):
            return False
        if _in_flight.pop(self._call_id, None) is not None:
            _call_import(_CANCEL, (self._call_id,))
        if self._group is not None:
            self._group.note(self)
        return True


def answer(start, *args):
    """An awaitable for the decoded answer of the call that `start` starts: it starts at once, or when it
    is awaited if no loop runs. That the host refuses to start it is an answer, too."""
    loop = _running_loop()
    if loop is None:
        return _answer_later(start, args)
    future = Answer(loop=loop)
    future._group = future._call_id = None
    try:
        future._call_id = call_id = start(*args)
    except RepertoireError as refusal:
        future.set_exception(refusal)
    else:
        _in_flight[call_id] = future
    return future


async def _answer_later(start, args):
    return await answer(start, *args)


async def _awaited(future):
    return await future


def _complete(future, result):
    if future.done() or future._loop._closed:  # nobody waits for it any more
        return
    if type(result) is Err:
        future.set_exception(errors.exception(result.value))
    else:
        text = result.value
        try:
            value = _scan(text, 0)[0]
        except (StopIteration, ValueError):
            value = _decode(text)
        future.set_result(value)
    if future._group is not None:
        future._group.note(future)


class _Group:
    """What `gather` waits for when all of it are answers: counted as they come, with no callback for each."""

    __slots__ = ("_outer", "_children", "_returns_exceptions", "_left")

    def __init__(self, outer, children, returns_exceptions):
        self._outer = outer
        self._children = children
        self._returns_exceptions = returns_exceptions
        self._left = len(children)

    def note(self, child):
        """A child is done."""
        self._left -= 1
        outer = self._outer
        if outer.done():
            if not child.cancelled():
                child.exception()  # it is known
            return
        if not self._returns_exceptions:
            raised = child._make_cancelled_error() if child.cancelled() else child.exception()
            if raised is not None:
                outer.set_exception(raised)
                return
        if not self._left:
            if outer._cancel_requested:
                outer.set_exception(child._make_cancelled_error())
            else:
                outer.set_result([_outcome(each) for each in self._children])


def _outcome(future):
    if future.cancelled():
        return asyncio.CancelledError("" if future._cancel_message is None else future._cancel_message)
    raised = future.exception()
    return future.result() if raised is None else raised


_gather = tasks.gather


@functools.wraps(_gather)
def gather(*awaitables, return_exceptions=False):
    for each in awaitables:
        if type(each) is not Answer or each._group is not None:
            return _gather(*awaitables, return_exceptions=return_exceptions)
    if not awaitables or len(set(awaitables)) < len(awaitables):
        return _gather(*awaitables, return_exceptions=return_exceptions)
    outer = tasks._GatheringFuture(awaitables, loop=awaitables[0]._loop)
    group = _Group(outer, awaitables, return_exceptions)
    for each in awaitables:
        each._group = group
    for each in awaitables:
        if each.done():
            group.note(each)
    return outer


class _CompletionSelector:
    """What `BaseEventLoop` needs of a selector."""

    def select(self, timeout):
        if timeout is not None:
            timeout = min(ceil(timeout * 1e9), _LONGEST_NS) if timeout > 0 else 0
            if timeout == 0 and not _in_flight:
                return ()
        elif not _in_flight:
            raise RuntimeError(_describe_deadlock())
        take = _in_flight.pop
        for completion in _call_import(_WAIT, (timeout,)):
            future = take(completion.start, None)
            if future is not None:
                _complete(future, completion.stop)
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


class _Handle(events.Handle):
    """A handle that asks nobody for debugging information."""

    __slots__ = ()

    def __init__(self, callback, args, loop, context):
        self._context = copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = None
        self._source_traceback = None


class HostLoop(base_events.BaseEventLoop):
    """An event loop that waits in the host."""

    def __init__(self):
        super().__init__()
        self._selector = _CompletionSelector()

    def call_soon(self, callback, *args, context=None):
        if self._closed or self._debug:
            return super().call_soon(callback, *args, context=context)
        handle = _Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def create_task(self, coroutine, **options):
        if type(coroutine) is not Answer:
            return super().create_task(coroutine, **options)
        task = super().create_task(_awaited(coroutine), **options)
        task.add_done_callback(lambda _: coroutine.cancel())  # a task that is cancelled before it began awaits nothing
        return task

    def _run_once(self):
        if self._scheduled or self._debug:
            super()._run_once()
            return
        ready = self._ready
        if _in_flight or not ready:
            self._selector.select(0 if ready or self._stopping else None)
        take = ready.popleft
        for _ in range(len(ready)):
            handle = take()
            if not handle._cancelled:
                try:
                    handle._context.run(handle._callback, *handle._args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as raised:
                    self._report(handle, raised)

    def _report(self, handle, raised):
        source = format_helpers._format_callback_source(handle._callback, handle._args)
        self.call_exception_handler({"message": f"Exception in callback {source}", "exception": raised, "handle": handle})

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
    asyncio.gather = tasks.gather = gather
    asyncio.EventLoop = asyncio.SelectorEventLoop = HostLoop
    policy = events._get_event_loop_policy()
    type(policy)._loop_factory = staticmethod(_new_loop)
    _main = HostLoop()
    events.set_event_loop(_main)
    _ready.append(HostLoop())


def complete(awaitable, *, keep_tasks=False):
    """Runs a coroutine to its end and returns its value.

    Tasks that are still pending then are cancelled, as `asyncio.run` does, unless `keep_tasks`: in a
    session a later cell may wait for them.

    It does what `run_until_complete` does, but the coroutine begins at once: one that waits for nothing
    never costs a turn of the loop.
    """
    loop = install_replacement() if _main.is_closed() else _main
    hooks = sys.get_asyncgen_hooks()
    loop._thread_id = _thread_id
    sys.set_asyncgen_hooks(firstiter=loop._asyncgen_firstiter_hook, finalizer=loop._asyncgen_finalizer_hook)
    events._set_running_loop(loop)
    task, has_turned = None, False
    try:
        task = _Task(_passing_exits(awaitable), loop=loop, eager_start=True)
        while not task.done():
            has_turned = True
            loop._run_once()
            if loop._stopping:
                break
        if not task.done():
            raise RuntimeError("Event loop stopped before Future completed.")
        result = task.result()
    except BaseException:
        if task is not None and task.done() and not task.cancelled():
            task.exception()  # it is known
        raise
    finally:
        loop._stopping = False
        loop._thread_id = None
        events._set_running_loop(None)
        sys.set_asyncgen_hooks(*hooks)
        if keep_tasks:
            if task is not None and not task.done():
                _cancel_tasks(loop, {task})
        elif has_turned or loop._ready or loop._scheduled or loop._asyncgens:  # else no task can be pending
            _tidy(loop)
    if type(result) is _Exit:
        raise result.raised
    return result


_Task = tasks.Task
_thread_id = threading.get_ident()


class _Exit:
    """Carries `SystemExit` and `KeyboardInterrupt` past the task, which would report them as well."""

    def __init__(self, raised):
        self.raised = raised


async def _passing_exits(awaitable):
    try:
        return await awaitable
    except (SystemExit, KeyboardInterrupt) as raised:
        return _Exit(raised)


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

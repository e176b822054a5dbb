"""The threads that answer requests: whoever comes gets one at once, and few of them stay."""

import threading
import time

from config.threads import KeptThreads


def at_once(executor, many):
    """The threads that so many calls had, all of which ran at the same time."""
    all_there = threading.Barrier(many)

    def call():
        all_there.wait(10)
        return threading.current_thread()

    return [call.result(10) for call in [executor.submit(call) for _ in range(many)]]


def test_one_call_after_the_other_has_one_thread():
    executor = KeptThreads(4)
    assert len({executor.submit(threading.current_thread).result() for _ in range(20)}) == 1


def test_no_call_waits_for_another_and_few_threads_stay():
    executor = KeptThreads(2)
    threads = at_once(executor, 9)
    assert len(set(threads)) == 9
    until = time.monotonic() + 10
    while sum(thread.is_alive() for thread in threads) > 2 and time.monotonic() < until:
        time.sleep(0.01)
    stayed = {thread for thread in threads if thread.is_alive()}
    assert len(stayed) == 2
    assert set(at_once(executor, 2)) == stayed


def test_a_call_that_fails_gives_its_thread_back():
    executor = KeptThreads(1)
    failed = executor.submit(lambda: 1 / 0)
    assert isinstance(failed.exception(10), ZeroDivisionError)
    (thread,) = at_once(executor, 1)
    assert at_once(executor, 1) == [thread]

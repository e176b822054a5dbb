"""The threads that answer requests: whoever comes gets one at once, few of them stay, a request has one at a time."""

import threading
import time

from config.threads import RequestThread, Threads


def at_once(threads, many):
    """The threads that so many requests had, all of which ran something at the same time."""
    all_there = threading.Barrier(many)

    def call():
        all_there.wait(10)
        return threading.current_thread()

    return [call.result(10) for call in [RequestThread(threads).submit(call) for _ in range(many)]]


def left_of(threads, most):
    """Those that are alive, once there are no more than ``most``."""
    until = time.monotonic() + 10
    while sum(thread.is_alive() for thread in threads) > most and time.monotonic() < until:
        time.sleep(0.01)
    return {thread for thread in threads if thread.is_alive()}


def test_one_request_after_the_other_has_one_thread():
    threads = Threads(4)
    assert len({RequestThread(threads).submit(threading.current_thread).result(10) for _ in range(20)}) == 1


def test_no_request_waits_for_another_and_few_threads_stay():
    threads = Threads(2)
    had = at_once(threads, 9)
    assert len(set(had)) == 9
    stayed = left_of(had, 2)
    assert len(stayed) == 2
    assert set(at_once(threads, 2)) == stayed


def test_what_a_request_does_later_waits_for_what_it_does_now():
    request, order = RequestThread(Threads(1)), []
    goes_on = threading.Event()
    first = request.submit(lambda: (goes_on.wait(10), order.append("first"), threading.current_thread())[-1])
    second = request.submit(lambda: (order.append("second"), threading.current_thread())[-1])
    assert not second.done()
    goes_on.set()
    assert first.result(10) is second.result(10)
    assert order == ["first", "second"]


def test_what_fails_gives_its_thread_back():
    threads = Threads(1)
    failed = RequestThread(threads).submit(lambda: 1 / 0)
    assert isinstance(failed.exception(10), ZeroDivisionError)
    (thread,) = at_once(threads, 1)
    assert at_once(threads, 1) == [thread]


def test_a_thread_that_ends_closes_its_connections(monkeypatch):
    closed = []
    monkeypatch.setattr("config.threads.connections.close_all", lambda: closed.append(threading.current_thread()))
    threads = Threads(1)
    had = at_once(threads, 4)
    assert len(left_of(had, 1)) == 1
    assert set(closed) == {thread for thread in had if not thread.is_alive()}

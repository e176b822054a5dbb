"""Listeners of one process share one connection to a real Redis, and hear whatever becomes of it."""

import asyncio
import random
import time
from contextlib import ExitStack, suppress

import pytest

from catalog.services import listen
from catalog.services.listen import listening
from tests.loops import ran

SOON = 10.0


@pytest.fixture
def redis(redis_server):
    with redis_server.client() as client:
        yield client


def subscriptions(redis):
    return redis.client_list(_type="pubsub")


async def until(condition):
    async with asyncio.timeout(SOON):
        while not condition():
            await asyncio.sleep(0.01)


async def subscribed(redis, channel):
    await until(lambda: redis.pubsub_numsub(channel)[0][1] == 1)


async def hears(listener, redis, channel):
    """Whether what is announced now is heard, once what was news before is."""
    await subscribed(redis, channel)
    await asyncio.sleep(0.1)
    await listener.hear(0)
    redis.publish(channel, "changed")
    return await listener.hear(SOON)


def test_many_listeners_share_one_connection_and_hear_their_own_channel(redis):
    async def scene():
        with ExitStack() as stack:
            listeners = [(name, stack.enter_context(listening(name))) for name in "abcdefghij" * 3]
            for _, each in listeners:
                assert await each.hear(SOON)  # the subscription begins
            await subscribed(redis, "j")
            assert len(subscriptions(redis)) == 1
            for _, each in listeners:  # those who came second may have heard of it twice
                await each.hear(0)
            assert redis.publish("d", "changed") == 1
            assert [await each.hear(SOON) for name, each in listeners if name == "d"] == [True] * 3
            assert [await each.hear(0.05) for name, each in listeners if name == "e"] == [False] * 3
        await until(lambda: redis.pubsub_channels() == [])

    ran(scene())
    assert subscriptions(redis) == []  # the loop has ended


def test_a_channel_that_is_left_and_joined_at_once_is_heard(redis):
    async def come_and_go(times):
        for _ in range(times):
            with listening("shared"):
                await asyncio.sleep(0)

    async def scene():
        await asyncio.gather(*(come_and_go(50) for _ in range(4)))
        with listening("shared") as listener:
            assert await listener.hear(SOON)
            assert await hears(listener, redis, "shared")

    ran(scene())


def test_several_announcements_are_one(redis):
    async def scene():
        with listening("a") as listener:
            assert await listener.hear(SOON)
            for _ in range(5):
                redis.publish("a", "changed")
            await asyncio.sleep(0.2)
            return [await listener.hear(0.1) for _ in range(2)]

    assert ran(scene()) == [True, False]


def test_a_connection_that_was_cut_is_news_and_is_made_anew(redis, monkeypatch):
    monkeypatch.setattr(listen, "AWAY_SECONDS", 0.1)

    async def scene():
        with listening("a") as listener, listening("b") as other:
            assert await listener.hear(SOON) and await other.hear(SOON)
            (old,) = subscriptions(redis)
            redis.client_kill_filter(_type="pubsub")
            assert await listener.hear(SOON) and await other.hear(SOON)  # something may have been missed
            await subscribed(redis, "b")
            assert [each["id"] for each in subscriptions(redis)] != [old["id"]]
            assert await hears(listener, redis, "a")

    ran(scene())


def test_a_redis_that_hangs_is_noticed_and_heard_again(redis_server, redis, monkeypatch):
    for name, seconds in (("QUIET_SECONDS", 0.2), ("AWAY_SECONDS", 0.1), ("CONNECT_SECONDS", 0.5)):
        monkeypatch.setattr(listen, name, seconds)

    async def scene():
        with listening("a") as listener:
            assert await listener.hear(SOON)
            for _ in range(5):  # a machine that stalls looks like a Redis that hangs
                await subscribed(redis, "a")
                await asyncio.sleep(0.1)
                await listener.hear(0)
                await asyncio.sleep(1)  # it answers when it is asked, so this connection stays
                if not await listener.hear(0):
                    break
            else:
                pytest.fail("the connection never stays")
            (old,) = subscriptions(redis)
            redis_server.freeze()
            try:
                assert await listener.hear(SOON)
            finally:
                redis_server.thaw()
            await until(lambda: [each["id"] for each in subscriptions(redis)] not in ([], [old["id"]]))
            assert await hears(listener, redis, "a")

    ran(scene())


def test_whoever_comes_while_redis_is_away_hears_it_come_back(redis_server, monkeypatch):
    monkeypatch.setattr(listen, "AWAY_SECONDS", 0.1)
    redis_server.kill()

    async def scene():
        with listening("a") as listener:
            assert await listener.hear(SOON)  # nobody else would say that there is something new
            assert await listener.hear(SOON)
            redis_server.start()
            with redis_server.client() as redis:
                assert await hears(listener, redis, "a")

    ran(scene())


def test_who_comes_as_another_leaves_has_a_first_look(redis):
    async def scene():
        with listening("other") as other:
            assert await other.hear(SOON)
            with listening("a") as first:
                assert await first.hear(SOON)
            with listening("a") as second:  # it is still subscribed: no confirmation will come
                assert await second.hear(1)

    ran(scene())


def test_connections_that_are_cut_again_and_again_deafen_nobody(redis, monkeypatch, caplog):
    monkeypatch.setattr(listen, "AWAY_SECONDS", 0.02)
    ends = time.monotonic() + 2

    async def come_and_go():
        while time.monotonic() < ends:
            task = asyncio.create_task(come())
            await asyncio.sleep(0.003 * random.random())
            if random.random() < 0.5:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def come():
        with listening(random.choice("abcde")) as listener:
            await listener.hear(random.choice((0, 0.001, 0.01)))

    async def cut():
        while time.monotonic() < ends:
            redis.client_kill_filter(_type="pubsub")
            await asyncio.sleep(0.03 * random.random())

    async def scene():
        await asyncio.gather(cut(), *(come_and_go() for _ in range(8)))
        for channel in "abcde":
            with listening(channel) as listener:
                assert await listener.hear(SOON)
                assert await hears(listener, redis, channel)

    ran(scene())
    assert [each for each in caplog.records if each.name == listen.__name__] == []  # nothing that is not told by Redis

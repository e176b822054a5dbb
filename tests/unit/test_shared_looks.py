"""Streams that ask the same share their looks: how many looks are made, who gets which, and hanging up."""

import asyncio
import threading
from dataclasses import replace

import pytest

from catalog.api.events import Looks, Place, Seen
from tests.loops import ran

ASKED = ("key:1", "https://shop.example/api/v1/recognition-jobs/7/events", "en")


class Ledger:
    """What is looked at: each look takes until it is let go, and finds its own number."""

    def __init__(self):
        self.begun, self.may_end = 0, threading.Semaphore(0)

    def look(self, place):
        self.begun += 1
        number = self.begun
        assert self.may_end.acquire(timeout=60)
        if number == 3:
            raise RuntimeError("the database is away")
        return Seen({"number": number}, finished=False)

    async def has_begun(self, number):
        while self.begun < number:
            await asyncio.sleep(0.001)


@pytest.fixture
def ledger():
    return Ledger()


def test_who_asks_before_a_look_begins_shares_it_and_who_asks_later_shares_the_next(ledger):
    async def follow():
        looks = Looks()
        first = [asyncio.create_task(looks.at(ledger.look, ASKED, Place())) for _ in range(3)]
        await ledger.has_begun(1)
        later = [asyncio.create_task(looks.at(ledger.look, ASKED, Place())) for _ in range(20)]
        await asyncio.sleep(0.02)
        assert ledger.begun == 1
        ledger.may_end.release(2)
        return [[seen.body["number"] for seen in await asyncio.gather(*some)] for some in (first, later)]

    assert ran(follow()) == [[1] * 3, [2] * 20]
    assert ledger.begun == 2


def test_another_place_key_or_address_is_another_look(ledger):
    async def follow():
        looks = Looks()
        asked = [ASKED, ("key:2", *ASKED[1:]), (ASKED[0], f"{ASKED[1]}?a=b", "en")]
        tasks = [asyncio.create_task(looks.at(ledger.look, each, Place())) for each in asked]
        tasks.append(asyncio.create_task(looks.at(ledger.look, ASKED, replace(Place(), progress="abc"))))
        await ledger.has_begun(4)
        ledger.may_end.release(4)
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = ran(follow())
    assert sorted(each.body["number"] for each in found if isinstance(each, Seen)) == [1, 2, 4]


def test_who_hangs_up_takes_the_look_from_nobody(ledger):
    async def follow():
        looks = Looks()
        leaves, stays = (asyncio.create_task(looks.at(ledger.look, ASKED, Place())) for _ in range(2))
        await ledger.has_begun(1)
        leaves.cancel()
        ledger.may_end.release()
        return await asyncio.gather(leaves, stays, return_exceptions=True)

    left, seen = ran(follow())
    assert isinstance(left, asyncio.CancelledError)
    assert seen.body == {"number": 1}


def test_a_look_that_fails_fails_for_all_who_shared_it_and_the_next_is_made(ledger):
    async def follow():
        looks = Looks()
        found = []
        for number in range(1, 5):
            tasks = [asyncio.create_task(looks.at(ledger.look, ASKED, Place())) for _ in range(2)]
            await ledger.has_begun(number)
            ledger.may_end.release()
            found.append(await asyncio.gather(*tasks, return_exceptions=True))
        return found

    *_, failed, after = ran(follow())
    assert [str(each) for each in failed] == ["the database is away"] * 2
    assert [each.body["number"] for each in after] == [4, 4]

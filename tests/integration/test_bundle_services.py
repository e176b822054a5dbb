"""Changing the model, rule by rule: what is refused, what a promotion swaps, what the shadow is owed and when."""

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from catalog.models import (
    Bundle,
    BundleState,
    ComparedPhoto,
    Item,
    ItemState,
    LedgerState,
    Photo,
    Product,
    ShadowPhoto,
)
from catalog.selectors.bundle import comparison_report, shadow_progress
from catalog.services.bundle import bundle_compare, bundle_promote, bundle_retire, bundle_rollback, bundle_shadow
from catalog.services.dispatch import chunks_dispatch, reconcile
from catalog.services.errors import Refused
from catalog.services.photo import photo_remove
from catalog.services.result import chunk_result_store
from catalog.services.shadow import assignment_write, shadow_dispatch, shadow_result_store
from config.env import load_env
from recognition.bundle import file_sha256
from tests.bundles import break_weights, other_bundle
from tests.worker import read_chunk
from workers.contract import (
    ASSIGNMENT_KEY,
    BYTES_UNREADABLE,
    SHADOW_QUEUE,
    WORKER_KEY_PREFIX,
    Assignment,
    Candidate,
    Chunk,
    ChunkResult,
    Fault,
    PhotoOutcome,
    Scores,
    WorkerCard,
)

pytestmark = pytest.mark.django_db(transaction=True)
NEW = "new"


def worker_comes(redis_server, *bundles, primary="old", faults=None):
    card = WorkerCard(
        name="w1", bundle_version=primary, calibrated=True, device="cpu", engine="embedded", points=0, photos_done=0,
        searches_done=0, started_at=datetime.now(UTC), bundles=bundles, bundle_faults=faults or {},
    )  # fmt: skip
    with redis_server.client() as client:
        client.set(f"{WORKER_KEY_PREFIX}w1", card.model_dump_json())


def a_photo(merchant, sku="MUG-1", **fields):
    product, _ = Product.objects.get_or_create(merchant=merchant, sku=sku, defaults={"title": sku})
    values = {"state": LedgerState.DONE, "bundle_version": "old", "sha256": uuid.uuid4().hex, "key": "k"}
    return Photo.objects.create(merchant=merchant, product=product, **values | fields)


@pytest.fixture
def bundles():
    Bundle.objects.create(version="old", state=BundleState.LIVE, live_since=timezone.now() - timedelta(days=1))
    Bundle.objects.create(version=NEW, state=BundleState.SHADOW)


def leased(redis_server):
    """The next chunk on the shadow queue."""
    with redis_server.client() as client:
        return read_chunk(client, queue=SHADOW_QUEUE)


def answered(chunk: Chunk, fault: Fault | None = None, **said) -> ChunkResult:
    return ChunkResult(
        chunk_id=chunk.chunk_id,
        worker="w1",
        bundle_version=chunk.bundle,
        calibrated=True,
        purpose=chunk.purpose,
        outcomes=tuple(PhotoOutcome(photo_id=each.photo_id, fault=fault, **said) for each in chunk.photos),
        seconds=1.0,
        shadow=chunk.shadow,
    )


def same_name_other_weights(folder):
    """A sound bundle with the version of the one in the shadow and weights of its own."""
    place = break_weights(other_bundle(folder, NEW))
    facts = json.loads((place / "bundle.json").read_text())
    facts["weights_sha256"] = file_sha256(place / "weights.safetensors")
    (place / "bundle.json").write_text(json.dumps(facts))
    return place


def code_of(call, **arguments):
    with pytest.raises(Refused) as refusal:
        call(**arguments)
    return refusal.value.code


def states():
    return dict(Bundle.objects.values_list("version", "state"))


def shadow_done(*photos):
    ShadowPhoto.objects.bulk_create(ShadowPhoto(photo=photo, state=LedgerState.DONE) for photo in photos)


def test_a_broken_or_absent_bundle_is_refused(redis_server, tmp_path):
    worker_comes(redis_server, "old")
    assert code_of(bundle_shadow, folder=tmp_path / "nowhere") == "bundle_unreadable"
    assert code_of(bundle_shadow, folder=break_weights(other_bundle(tmp_path, "broken"))) == "bundle_unreadable"
    assert code_of(bundle_shadow, folder=other_bundle(tmp_path, "../up")) == "bundle_unreadable"
    assert states() == {}


def test_the_first_change_needs_workers_that_serve_the_bundle_of_the_settings(redis_server, tmp_path):
    folder = other_bundle(tmp_path, NEW)
    worker_comes(redis_server, "another", primary="another")
    assert code_of(bundle_shadow, folder=folder) == "bundle_live_unknown"
    own = json.loads((load_env().bundle / "bundle.json").read_text())["version"]
    worker_comes(redis_server, own, primary=own)
    assert bundle_shadow(folder=folder, by="ann").created_by == "ann"
    assert code_of(bundle_shadow, folder=same_name_other_weights(tmp_path / "later")) == "bundle_version_taken"
    assert states() == {own: "live", NEW: "shadow"}
    assert code_of(bundle_shadow, folder=load_env().bundle) == "bundle_is_live"
    assert code_of(bundle_shadow, folder=other_bundle(tmp_path, "third")) == "bundle_shadow_taken"
    assignment_write()
    with redis_server.client() as client:
        assert Assignment.model_validate_json(client.get(ASSIGNMENT_KEY)) == Assignment(live=own, shadow=NEW)


def test_the_shadow_is_owed_what_the_live_index_has(redis_server, merchant, bundles):
    photos = [a_photo(merchant) for _ in range(3)]
    a_photo(merchant, state=LedgerState.PENDING, bundle_version="")
    a_photo(merchant, state=LedgerState.FAILED)
    assert shadow_dispatch() == 0  # no worker serves both
    worker_comes(redis_server, "old", NEW)
    assert shadow_dispatch() == 1
    chunk = leased(redis_server)
    assert (chunk.bundle, chunk.shadow, chunk.purpose) == (NEW, True, "index")
    assert {each.photo_id for each in chunk.photos} == {photo.pk for photo in photos}
    assert shadow_result_store(result=answered(chunk)) == 3
    assert shadow_result_store(result=answered(chunk)) == 0  # twice is once
    assert shadow_progress().missing == 0


def test_what_changes_while_the_shadow_has_it_is_owed_again(redis_server, merchant, bundles):
    photo = a_photo(merchant)
    worker_comes(redis_server, "old", NEW)
    shadow_dispatch()
    first = leased(redis_server)
    Photo.objects.update(state=LedgerState.DISPATCHED, chunk_id=uuid.uuid4())
    live = Chunk(chunk_id=Photo.objects.get().chunk_id, merchant_id=merchant.pk, purpose="index", photos=first.photos)
    chunk_result_store(result=answered(live.model_copy(update={"bundle": "old"})))
    assert ShadowPhoto.objects.get().changed
    shadow_result_store(result=answered(first))
    assert ShadowPhoto.objects.get().state == LedgerState.PENDING
    shadow_dispatch()
    shadow_result_store(result=answered(leased(redis_server)))
    assert (ShadowPhoto.objects.get().state, Photo.objects.get(pk=photo.pk).state) == (LedgerState.DONE,) * 2


def test_a_photo_is_not_forgotten_while_the_shadow_has_it(redis_server, merchant, bundles):
    photo = a_photo(merchant)
    worker_comes(redis_server, "old", NEW)
    shadow_dispatch()
    photo_remove(photo=photo)
    assert chunks_dispatch() == 0
    shadow_result_store(result=answered(leased(redis_server)))
    assert chunks_dispatch() == 1


def test_a_lost_lease_comes_back_and_a_bug_is_tried_three_times(redis_server, merchant, bundles):
    a_photo(merchant)
    worker_comes(redis_server, "old", NEW)
    shadow_dispatch()
    leased(redis_server)
    ShadowPhoto.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert reconcile().shadow_back == 1
    assert ShadowPhoto.objects.get().attempts == 1
    bug = Fault(code="internal_error", message="out of order", kind="bug")
    for _ in range(2):
        ShadowPhoto.objects.update(queued_at=timezone.now())
        shadow_dispatch()
        shadow_result_store(result=answered(leased(redis_server), bug))
    row = ShadowPhoto.objects.get()
    assert (row.state, row.attempts, row.error_code) == (LedgerState.FAILED, 3, "internal_error")
    assert (shadow_progress().failed, shadow_progress().missing) == (1, 1)


def test_bytes_that_cannot_be_read_do_not_hold_the_shadow_for_ever(redis_server, merchant, bundles):
    a_photo(merchant)
    worker_comes(redis_server, "old", NEW)
    unreadable = Fault(code=BYTES_UNREADABLE, message="a bad sector", kind="retry")
    for tries in range(1, 6):
        ShadowPhoto.objects.update(queued_at=timezone.now())
        assert shadow_dispatch() == 1
        shadow_result_store(result=answered(leased(redis_server), unreadable))
        row = ShadowPhoto.objects.get()
        assert (row.state, row.attempts) == (LedgerState.FAILED if tries == 5 else LedgerState.PENDING, tries)
    assert (row.error_code, shadow_progress().failed) == (BYTES_UNREADABLE, 1)


def test_while_no_worker_is_alive_no_photo_is_to_blame(redis_server, merchant, bundles):
    a_photo(merchant)
    ShadowPhoto.objects.create(
        photo=Photo.objects.get(), state=LedgerState.DISPATCHED, lease_until=timezone.now() - timedelta(seconds=1)
    )
    assert reconcile().shadow_back == 1
    assert (ShadowPhoto.objects.get().state, ShadowPhoto.objects.get().attempts) == (LedgerState.PENDING, 0)


def test_a_promotion_is_refused_until_all_is_there(redis_server, merchant, bundles):
    done, missing = a_photo(merchant), a_photo(merchant)
    shadow_done(done)
    assert code_of(bundle_promote, version=NEW) == "bundle_not_loaded"
    worker_comes(redis_server, "old", faults={NEW: "The checksum is wrong."})
    with pytest.raises(Refused, match=r"bundle_not_loaded: .* missing: w1\. The checksum is wrong\."):
        bundle_promote(version=NEW)
    worker_comes(redis_server, "old", NEW, "other")
    assert code_of(bundle_promote, version="other") == "bundle_not_in_shadow"
    assert code_of(bundle_promote, version=NEW) == "bundle_incomplete"
    assert states() == {"old": "live", NEW: "shadow"}
    shadow_done(missing)
    bundle_promote(version=NEW)
    assert states() == {"old": "shadow", NEW: "live"}
    assert set(Photo.objects.values_list("bundle_version", "state")) == {(NEW, LedgerState.DONE)}
    assert set(ShadowPhoto.objects.values_list("state", flat=True)) == {LedgerState.DONE}


def test_a_photo_that_the_shadow_cannot_embed_holds_no_promotion_for_ever(redis_server, merchant, bundles, capsys):
    done, failed, waiting = a_photo(merchant), a_photo(merchant), a_photo(merchant)
    shadow_done(done)
    ShadowPhoto.objects.create(photo=failed, state=LedgerState.FAILED, error_code="photo_truncated")
    worker_comes(redis_server, "old", NEW)
    with pytest.raises(CommandError, match=r"2 photos are not embedded .*\(bundle_incomplete\)"):
        call_command("bundle", "promote", NEW)
    call_command("bundle", "list")
    call_command("bundle", "promote", NEW, "--incomplete")
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "in the shadow: 1 of 3 photos embedded, 1 failed",
        "  1 photo_truncated",
        f"{NEW} is live without 2 photos.",
    ]
    assert states() == {"old": "shadow", NEW: "live"}
    owed = Photo.objects.filter(state=LedgerState.PENDING, bundle_version="")
    assert set(owed.values_list("pk", flat=True)) == {failed.pk, waiting.pk}
    assert Photo.objects.get(bundle_version=NEW, state=LedgerState.DONE) == done


def test_a_rollback_happens_at_once_and_owes_what_is_missing(redis_server, merchant, bundles):
    assert code_of(bundle_rollback) == "bundle_no_previous"
    both, only_new = a_photo(merchant), a_photo(merchant)
    shadow_done(both, only_new)
    worker_comes(redis_server, "old", NEW)
    bundle_promote(version=NEW)
    ShadowPhoto.objects.filter(photo=only_new).update(state=LedgerState.PENDING)
    assert bundle_rollback().version == "old"
    assert states() == {"old": "live", NEW: "shadow"}
    both.refresh_from_db()
    only_new.refresh_from_db()
    assert (both.state, both.bundle_version) == (LedgerState.DONE, "old")
    assert (only_new.state, only_new.bundle_version) == (LedgerState.PENDING, "")


def test_a_result_of_the_bundle_before_is_owed_to_the_live_one(redis_server, merchant, bundles):
    photo = a_photo(merchant, state=LedgerState.PENDING, bundle_version="")
    worker_comes(redis_server, "old", NEW)
    chunks_dispatch()
    photo.refresh_from_db()
    chunk = Chunk(
        chunk_id=photo.chunk_id, merchant_id=merchant.pk, purpose="index", photos=[{"photo_id": photo.pk, "key": "k"}],
        bundle="old",
    )  # fmt: skip
    bundle_promote(version=NEW)
    chunk_result_store(result=answered(chunk))
    photo.refresh_from_db()
    assert (photo.state, photo.bundle_version) == (LedgerState.PENDING, "")
    # One that was being stored at the very moment is found by the reconciler.
    Photo.objects.update(state=LedgerState.DONE, bundle_version="old")
    reconcile()
    photo.refresh_from_db()
    assert photo.state == LedgerState.PENDING


def test_a_retired_bundle_is_owed_nothing_and_its_photos_are_deleted(redis_server, merchant, bundles):
    shadow_done(a_photo(merchant))
    assert code_of(bundle_retire, version="old") == "bundle_not_in_shadow"
    Bundle.objects.filter(version=NEW).update(live_since=timezone.now())
    bundle_retire(version=NEW)
    assert code_of(bundle_rollback) == "bundle_no_previous"
    assert ShadowPhoto.objects.count() == 0
    assignment_write()
    with redis_server.client() as client:
        told = Assignment.model_validate_json(client.get(ASSIGNMENT_KEY))
    assert told == Assignment(live="old", retired=(NEW,))


def candidate(product, probability=0.9):
    return Candidate(product_id=product.pk, photo_id=uuid.uuid4(), scores=Scores(rank=1.0), probability=probability)


def test_a_comparison_asks_both_and_says_what_would_change(redis_server, merchant, bundles, capsys):
    assert code_of(bundle_compare) == "comparison_empty"
    photos = [a_photo(merchant, sku) for sku in ("A", "A", "B", "B", "LONE")]
    shadow_done(*photos)
    reviewed = photos[2]
    Item.objects.create(
        merchant=merchant, photo=reviewed, product=reviewed.product, state=ItemState.ACCEPTED, bundle_version="old",
        verdict="REVIEW",
    )  # fmt: skip
    comparison = bundle_compare(by="ann")
    assert comparison.photos.count() == 8
    assert set(comparison.photos.filter(reviewed=True).values_list("photo", flat=True)) == {reviewed.pk}
    worker_comes(redis_server, "old", NEW)
    right, wrong = photos[0].product, photos[2].product
    for _ in range(2):
        shadow_dispatch()
        chunk = leased(redis_server)
        assert chunk.purpose == "recognise"
        verdict, first = ("SURE", right) if chunk.bundle == NEW else ("REVIEW", wrong)
        other = wrong if first == right else right
        shadow_result_store(result=answered(chunk, verdict=verdict, candidates=(candidate(first), candidate(other))))
    report = comparison_report(comparison)
    assert (report.asked, len(report.pairs), report.is_finished) == (4, 4, True)
    assert report.recalls == [(1, 0.5, 0.5), (5, 1.0, 1.0)]
    assert [pair.gain for pair in report.changed] == [-1, -1, 1, 1]
    assert ComparedPhoto.objects.filter(state=LedgerState.DONE).count() == 8


def test_the_command_says_what_it_did(redis_server, merchant, bundles, capsys):
    shadow_done(a_photo(merchant))
    worker_comes(redis_server, "old", NEW)
    call_command("bundle", "list")
    assert capsys.readouterr().out.splitlines()[-1] == "in the shadow: 1 of 1 photos embedded"
    with pytest.raises(CommandError, match=r"\(bundle_not_in_shadow\)"):
        call_command("bundle", "promote", "old")
    call_command("bundle", "promote", NEW)
    call_command("bundle", "rollback")
    call_command("bundle", "retire", NEW)
    assert capsys.readouterr().out == f"{NEW} is live.\nold is live again.\n{NEW} is retired.\n"

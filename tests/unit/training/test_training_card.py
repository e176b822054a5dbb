"""The card tells of the bundle's own data, says whose word a licence is, and gives SURE with the numbers behind it."""

import pytest

from recognition.bundle import Bundle
from recognition.training.card import write_card
from recognition.training.data import DataSet, read_photos
from recognition.training.errors import DataError
from recognition.training.record import Record, read_record, record_of_run
from tools.signs.__main__ import draw_folder

PLAN = {"weights": "/somewhere/else/DEFAULT", "backbone_rate": 1e-3, "size": 96, "batch": 24, "optimiser": "adamw"}
RUN = {"plan": PLAN | {"seed": 1, "device": "cpu"}, "began_with": "", "epochs_done": 4, "best": "epoch-3"}
VERDICTS = {
    "expected_calibration_error": 0.124,
    "known": {"queries": 76, "SURE": 0.0658, "REVIEW": 0.7632, "UNKNOWN": 0.1711, "right_when_sure": 1.0},
    "unknown": {"queries": 76, "SURE": 0.0263, "REVIEW": 0.6711, "UNKNOWN": 0.3026, "right_when_sure": 0.0},
}
PROJECT = ("clothes", "clothing", "catalogue", "rendered", "grocery", "klasson")


def card(metrics=None, **record) -> str:
    bundle = Bundle("signs", "mobilenet_v2", metrics={"measured_on": "signs"} | (metrics or {}))
    return write_card(bundle, Record(**record))


def test_the_card_of_drawn_signs_is_about_signs(tmp_path):
    photos = read_photos([DataSet("signs", draw_folder(tmp_path / "signs", 8, kinds=2))])
    record = record_of_run(RUN, photos, {}, ["Words and gate were then trained alone."])
    text = write_card(Bundle("signs", "mobilenet_v2", metrics={"measured_on": "signs"}), record)
    assert not [word for word in PROJECT if word in text.lower()]
    assert "| signs: licence not stated | 12 | 0 | 2 | 2 |" in text
    assert "Starting weights: `DEFAULT`. All layers trained: 4 epochs at 96 px" in text and "somewhere" not in text
    assert "Words and gate were then trained alone." in text
    assert "are not told apart reliably." in text.partition("## Limits")[2]


def test_a_name_of_ours_is_no_licence():
    """A merchant's own groceries and clothes are not the data sets that this project's bundles learnt from."""
    counts = {"train": 5, "gallery": 0, "calibrate": 1, "report": 1}
    text = card(photos={"grocery": counts, "clothing": counts})
    assert "| grocery: licence not stated | 5 | 0 | 1 | 1 |" in text and "one photo a garment" not in text
    told = card(photos={"grocery": counts, "clothing": counts}, licences={"clothing": "shot by us, CC0"})
    assert "| clothing: shot by us, CC0 | 5 | 0 | 1 | 1 |" in told and "one photo a garment" in told
    assert "| grocery: licence not stated |" in told


def test_sure_is_told_with_its_numbers():
    """5 right of 5 and 2 false ones, which count a quarter: 5 / 5.5."""
    metrics = {"retrieval": {}, "words": {}, "decisions": VERDICTS}
    text = card(metrics)
    assert "SURE were 5 of 76 photos of products that the shop has, 5 of them rightly, and 2 of 76" in text
    assert "where one photo in five shows what the shop does not sell, 90.9% of SURE answers are right." in text
    assert "Expected calibration error: 0.124." in text and "15 equal-width bins" in text
    known, unknown = (VERDICTS[part] | {"SURE": 0.0} for part in ("known", "unknown"))
    nothing = card(metrics | {"decisions": VERDICTS | {"known": known, "unknown": unknown}})
    assert "SURE were 0 of 76 photos" in nothing and "answers are right" not in nothing


def test_what_a_card_says_can_be_read_again(tmp_path):
    """Of bundles from before records."""
    counts = {"train": 5, "gallery": 2, "calibrate": 1, "report": 3}
    record = Record(
        made="Made on 2026-01-01 with torch 2.9 on a GPU.",
        photos={"signs": counts, "more": counts},
        licences={"signs": "drawn: by us, CC0"},
        training="All of it.\n\nAnd how it began.",
        finding="A head that finds things.",
    )
    (tmp_path / "card.md").write_text(write_card(Bundle("signs", "mobilenet_v2"), record))
    assert read_record(tmp_path) == record
    assert read_record(tmp_path / "nowhere") == Record()
    assert "Nothing was measured." in (tmp_path / "card.md").read_text()


def test_a_record_that_cannot_be_read(tmp_path):
    for text in ("", "[]", "{}", '{"trained_on": 5}', '{"trained_on": "ab", "more": 1}'):
        (tmp_path / "record.json").write_text(text)
        with pytest.raises(DataError, match=r"record\.json cannot be read"):
            read_record(tmp_path)

"""The Chinese catalogue of the search page: nothing is untranslated, and what is compiled is what is written."""

import re
import shutil
import subprocess

import pytest

from tests.line import ROOT

FOLDER = ROOT / "catalog" / "locale" / "zh_Hans" / "LC_MESSAGES"
TEXT = re.compile(r'^(msgid|msgstr)(?:\[0\])? ((?:".*"\n?)+)', re.M)


def words_of(catalogue):
    """Each message with its translation."""
    texts = [(kind, "".join(re.findall(r'"(.*)"', lines))) for kind, lines in TEXT.findall(catalogue)]
    ids = [text for kind, text in texts if kind == "msgid"]
    return dict(zip(ids, [text for kind, text in texts if kind == "msgstr"], strict=True))


def test_every_sentence_is_translated():
    words = words_of((FOLDER / "django.po").read_text())
    assert len(words) > 150
    assert [message for message, translation in words.items() if not translation] == []
    places = re.compile(r"%\(\w+\)[sd]|\{\w+\}")
    assert [each for each in words if each and set(places.findall(each)) != set(places.findall(words[each]))] == []


@pytest.mark.skipif(not shutil.which("msgunfmt"), reason="gettext is not installed")
def test_compiled_catalogue_is_up_to_date():
    written = words_of((FOLDER / "django.po").read_text())
    done = subprocess.run(["msgunfmt", FOLDER / "django.mo"], capture_output=True, text=True, check=True)
    assert words_of(done.stdout) == written


@pytest.mark.skipif(not shutil.which("xgettext"), reason="gettext is not installed")
def test_no_sentence_is_missing(tmp_path):
    """Those in the templates and modules are those in the catalogue."""
    files = [*(ROOT / "catalog" / "web").rglob("*.py")]
    keywords = [f"--keyword={name}" for name in ("_", "gettext", "gettext_lazy", "ngettext:1,2")]
    command = ["xgettext", "--from-code=UTF-8", "--language=Python", *keywords, "-o", "-", *files]
    found = words_of(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    templates = " ".join(path.read_text() for path in (ROOT / "catalog" / "web" / "templates").rglob("*.html"))
    known = words_of((FOLDER / "django.po").read_text())
    assert set(found) - set(known) == set()
    assert set(re.findall(r'{% translate "(.*?)" %}', templates)) - set(known) == set()

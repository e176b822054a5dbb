"""File names inside archives and folders: what they are, and which of them a merchant's ``images`` column means.

Nothing is ever written under a name from an archive; names only find entries in memory.
"""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import PurePosixPath

from catalog.services.uploading.encodings import looks_like_gb18030
from catalog.services.uploading.entries import Entry
from catalog.services.uploading.faults import EntryFault

PHOTO_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif"}
)
ARCHIVE_SUFFIXES = frozenset({".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst"})

_JUNK_NAMES = {"thumbs.db", "desktop.ini", "__macosx"}
_DRIVE = re.compile(r"[A-Za-z]:")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_AMBIGUOUS = -1


def normal_name(name: str) -> str:
    """Slashes one way, one form of accented letters (macOS writes another), no ``./`` and no double slashes."""
    name = unicodedata.normalize("NFC", name.strip().replace("\\", "/"))
    absolute = "/" if name.startswith("/") else ""
    return absolute + "/".join(part for part in name.split("/") if part not in ("", "."))


def is_unsafe(name: str) -> bool:
    """Absolute names, names that climb out with ``..``, Windows drives, NULs."""
    return name.startswith("/") or ".." in name.split("/") or "\0" in name or bool(_DRIVE.match(name))


def is_junk(name: str) -> bool:
    """What operating systems and office programs leave behind: hidden files, ``__MACOSX``, lock files."""
    parts = [part for part in name.split("/") if part != ".."]
    return (
        any(part.startswith(".") or part.lower() in _JUNK_NAMES for part in parts)
        or parts[-1:] == []
        or (parts[-1].startswith("~$"))
    )


def is_plain_photo_name(name: str) -> bool:
    """Whether a photo can lie in an archive under this name and be listed in a manifest by it, beside others."""
    return (
        name == normal_name(name)
        and name.isprintable()
        and "|" not in name
        and suffix_of(name) in PHOTO_SUFFIXES
        and not (is_unsafe(name) or is_junk(name) or _ADDRESS.match(name))
    )


def suffix_of(name: str) -> str:
    """The suffix in small letters, with its dot."""
    return PurePosixPath(name).suffix.lower()


def archived_name(name: str, *, is_utf8: bool) -> str:
    """A ZIP entry's name as meant: without the UTF-8 flag, ``zipfile`` has read it as code page 437."""
    if is_utf8 or name.isascii():
        return name
    raw = name.encode("cp437")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        pass
    try:
        return raw.decode("gb18030") if looks_like_gb18030([raw]) else name
    except UnicodeDecodeError:
        return name


class NameIndex:
    """Finds the entry that a listed name means: beside the manifest, then from the root, then in any case."""

    def __init__(self, entries: Sequence[Entry], *, folder: str = "") -> None:
        self._entries = entries
        self._folder = f"{folder}/" if folder else ""
        self._exact = {entry.name: position for position, entry in enumerate(entries)}
        self._folded: dict[str, int] = {}
        for position, entry in enumerate(entries):
            folded = entry.name.casefold()
            self._folded[folded] = _AMBIGUOUS if folded in self._folded else position

    def find(self, listed: str) -> int:
        """The entry's position. Raises ``EntryFault``: photo_missing_in_archive, photo_name_ambiguous, …"""
        name = normal_name(listed)
        candidates = (self._folder + name, name)
        for candidate in candidates:
            if candidate in self._exact:
                return self._exact[candidate]
        for candidate in candidates:
            position = self._folded.get(candidate.casefold())
            if position == _AMBIGUOUS:
                raise EntryFault("photo_name_ambiguous", f"Several files are called {listed} but for their case.")
            if position is not None:
                return position
        raise self._not_found(listed, name)

    @staticmethod
    def _not_found(listed: str, name: str) -> EntryFault:
        if _ADDRESS.match(listed):
            return EntryFault("photo_is_an_address", f"{listed} is an address: photos are taken from the archive only.")
        if is_unsafe(name):
            return unsafe_path(listed)
        return EntryFault("photo_missing_in_archive", f"There is no file {listed} in the upload.")


def unsafe_path(name: str) -> EntryFault:
    """The refusal of a name that leaves the archive."""
    return EntryFault("entry_unsafe_path", f"The name {name} leads out of the archive; it is not read.")

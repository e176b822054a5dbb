"""Whose turn the device is, and how large a turn of bulk work may be; asked by the device lane before each turn, under
its lock.

Searches go first. Where they never pause, bulk work still gets a small share of the device's time, else an upload
would wait for the night; and a turn of bulk work is only so long that the search which arrives next hardly notices.
"""

BULK_SHARE = 0.1  # of the device's time, where searches would take all of it
BULK_SECONDS = 0.05  # the longest that a turn of bulk work should take: what a search may find before it
_LEARN = 0.2  # how much of what is known the newest turn replaces


class Turns:
    """Keeps account of the device's time. `most`: photos in a turn of bulk work, however fast the device is."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._photo_seconds = 0.0  # of one photo in bulk; 0: not known yet
        self._owed = 0.0  # seconds of the device that bulk work is owed
        self._under_way = 0  # turns of other work than searches that are not over: each will pay back a turn of it

    @property
    def bulk_photos(self) -> int:
        """How many photos make one turn of bulk work."""
        if not self._photo_seconds:
            return self._most
        return max(1, min(self._most, int(BULK_SECONDS / self._photo_seconds)))

    @property
    def bulk_is_due(self) -> bool:
        """Whether waiting bulk work goes before waiting searches: it is owed a whole turn, beside those under way."""
        turns = 1 + self._under_way
        return self._owed > 0 and self._owed >= turns * self._photo_seconds * self.bulk_photos

    def searched(self, seconds: float, *, bulk_waits: bool) -> None:
        """A turn of searches took so long. What is not waited for is not owed."""
        self._owed = self._owed + seconds * BULK_SHARE / (1 - BULK_SHARE) if bulk_waits else 0.0

    def begun(self) -> None:
        """A turn of other work begins; ``worked`` ends it."""
        self._under_way += 1

    def worked(self, seconds: float, *, photos: int = 0) -> None:
        """A turn of other work took so long; of bulk work, for so many photos."""
        self._under_way -= 1
        self._owed = max(0.0, self._owed - seconds)
        if photos:
            newest = seconds / photos
            known = self._photo_seconds or newest
            self._photo_seconds = known + _LEARN * (newest - known)

"""One file of an upload, as its source found it."""

from dataclasses import dataclass

from catalog.services.uploading.faults import EntryFault


@dataclass(slots=True)
class Entry:
    """A file by its normalised name. ``fault`` is set where it can be listed but must not be read."""

    name: str
    handle: object  # what its source needs to read it
    fault: EntryFault | None = None

    def check(self) -> None:
        """Raise the fault, if there is one; a new one each time, because entries are read in several threads."""
        if self.fault:
            raise EntryFault(self.fault.code, self.fault.message)

"""Like this but not like that: photos that a search is to be near to and far from, mixed into one vector.

Used by ``search`` before the index is asked. The mixture is Rocchio's (1971) for relevance feedback,
computed on unit vectors: the query, plus the mean of what it should be like, minus a part of the mean of what it
should not. Photos of products come from the index, and count for nothing where it does not hold them; others were
looked at by the device beside the query's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np

from recognition.errors import PhotoError
from workers.batching import Vector
from workers.contract import Search
from workers.line import Line
from workers.metrics import stage

UNLIKE_SHARE = 0.5  # as much as that and more, and what is left of the query points nowhere


@dataclass(frozen=True, eq=False)
class Examples:
    """The vectors [dim] of the examples, those of products as far as the index holds them."""

    like: Sequence[Vector] = ()
    unlike: Sequence[Vector] = ()

    @classmethod
    def of(
        cls, line: Line, search: Search, like_photos: Sequence[Vector] = (), unlike_photos: Sequence[Vector] = ()
    ) -> "Examples":
        """A search's examples: its products' photos out of the index, beside the other photos' vectors.

        Raises PhotoError("examples_missing") where none of the products to be like is there.
        """
        if not (search.like or search.unlike):
            return cls(like_photos, unlike_photos)
        with stage("index"):
            stored = line.index.image_vectors([str(photo_id) for photo_id in (*search.like, *search.unlike)])
        like, unlike = (_found(stored, ids) for ids in (search.like, search.unlike))
        if search.like and not like:
            raise PhotoError("examples_missing", "The photos of the examples are not indexed yet: try again soon.")
        return cls([*like, *like_photos], [*unlike, *unlike_photos])

    def mixed(self, image: Vector | None) -> Vector | None:
        """The query's photo vector with the examples in it; None where there is neither photo nor example to be like.

        Without either, what is not wanted has nothing to be taken from.
        """
        wanted = [vector for vector in (image, _mean(self.like)) if vector is not None]
        if not wanted:
            return None
        unwanted = _mean(self.unlike)
        mixture = np.sum(wanted, axis=0) / len(wanted)
        return mixture if unwanted is None else mixture - UNLIKE_SHARE * unwanted


def _found(stored: dict[str, Vector], photo_ids: Sequence[UUID]) -> list[Vector]:
    return [stored[str(photo_id)] for photo_id in photo_ids if str(photo_id) in stored]


def _mean(vectors: Sequence[Vector]) -> Vector | None:
    return np.mean(vectors, axis=0) if vectors else None

"""One problem of a row, a field or a photo: the shape that uploads, products and the API share.

Made wherever a merchant's data is judged; stored with an upload's row, or sent back in a ``Refused``.
Names and fields in it are strangers' words, so it holds only what every database stores and every answer can carry.
"""

import re

Problem = dict[str, str]

_UNSTORABLE = re.compile(r"[\0\ud800-\udfff]")


def problem(code: str, message: str, *, field: str = "", photo: str = "") -> Problem:
    """A stable code and a sentence for people; ``field`` is the column, ``photo`` the file it is about."""
    return {"code": code, "message": storable(message), "field": storable(field), "photo": storable(photo)}


def storable(text: str) -> str:
    """PostgreSQL keeps no NUL, and half a surrogate pair is no text that an answer can be written in."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)

"""One problem of a row, a field or a photo: the shape that uploads, products and the API share.

Made wherever a merchant's data is judged; stored with an upload's row, or sent back in a ``Refused``.
"""

Problem = dict[str, str]


def problem(code: str, message: str, *, field: str = "", photo: str = "") -> Problem:
    """A stable code and a sentence for people; ``field`` is the column, ``photo`` the file it is about."""
    return {"code": code, "message": message, "field": field, "photo": photo}

"""How a bulk upload is read and written; ``catalog.services.upload`` is the only way in.

``spool`` keeps the archive, ``sources`` reads it whatever it is, ``tables`` and ``manifest`` turn a manifest into
rows, ``photos`` takes the photos of a batch, ``catalogue`` and ``recognition`` write a batch, ``importing`` drives it
all under a ``lease``.
"""

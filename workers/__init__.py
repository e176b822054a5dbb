"""The Celery side of a GPU worker: takes chunks and searches from Redis, runs ``recognition``, sends results back.

No Django and no SQL here. ``catalog`` may import ``workers.contract`` and ``workers.client``, nothing else.
"""

"""Webhooks: endpoints, the outbox of events, their signatures and their sending.

``events`` is called by whoever finishes an upload or a job, or decides on an item; ``delivery`` says what is owed and
keeps the log; ``sender`` runs it in the coordinator; ``endpoint`` is what merchants change.
"""

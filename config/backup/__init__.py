"""Backups: what SQL says, the bytes that it refers to, and the embedded index, in a folder that can be checked.

``manage.py backup`` writes one, ``manage.py restore`` reads it into an empty installation. See docs/operations.md.
"""

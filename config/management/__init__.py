"""Commands that run the whole: ``manage.py start`` and ``manage.py demo``."""

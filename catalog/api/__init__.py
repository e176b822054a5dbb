"""The HTTP API under ``/api/v1``: shapes, views and addresses. Views only translate; the rules live in services."""

"""Writes: ``<entity>_<action>`` functions with keyword-only arguments, the only code that changes a row."""

"""Reads: functions that return querysets or plain data, always scoped to a merchant where there is one."""

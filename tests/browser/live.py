"""The live server's turn: its threads and the tests share a database in memory, where nobody waits for a lock."""

import threading

ONE_REQUEST = threading.RLock()  # held while the live server answers a request; a test that writes meanwhile takes it

"""``python -m workers`` starts a worker; see ``workers.app``."""

import sys

from workers.app import main

sys.exit(main())

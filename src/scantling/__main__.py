"""`python -m scantling` is the command `scantling`."""

import sys

from .cli import main

sys.exit(main())

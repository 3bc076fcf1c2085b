"""``python -m tiphys``."""

import sys

from tiphys.cli import main

if __name__ == "__main__":
    sys.exit(main())

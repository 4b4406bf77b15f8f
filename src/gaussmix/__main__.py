"""`python -m gaussmix` is the command `gaussmix`."""

import sys

from gaussmix.cli import main

if __name__ == "__main__":
    sys.exit(main())

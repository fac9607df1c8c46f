"""`python -m localfaas` is the `localfaas` command."""

import sys

from localfaas.cli import main

if __name__ == "__main__":
    sys.exit(main())

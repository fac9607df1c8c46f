from __future__ import annotations

import sys

from reload.agent.run import main

if __name__ == "__main__":
    sys.exit(main())

"""The command line with small phantoms, for processes that a test starts."""

from dataclasses import replace

import mammo.phantom
from cli.__main__ import main

SMALL = replace(mammo.phantom.vendor_a(), width=384, height=448)

if __name__ == "__main__":
    mammo.phantom.vendor_a = lambda: SMALL  # type: ignore[method-assign]
    main()

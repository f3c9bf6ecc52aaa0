"""The command line with small phantoms, for processes that a test starts."""

from dataclasses import replace

import mammo.phantom
from cli.__main__ import main

if __name__ == "__main__":
    look = replace(mammo.phantom.vendor_a(), width=384, height=448)
    mammo.phantom.vendor_a = lambda: look  # type: ignore[method-assign]
    main()

"""Opens the page that compares detection backbones: `python app.py`, then the address it prints.

The same as `explorer app`; `python app.py --help` lists the switches.
"""

from __future__ import annotations

import sys

from explorer.cli import main

if __name__ == "__main__":
    main(["app", *sys.argv[1:]])

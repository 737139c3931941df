"""Builds a data set again and again, each time in a process of its own that dies by SIGKILL when it is told to.

`python tests/browser/killed.py NAME DATA RUN…`, with FiftyOne's environment variables set. Each line read is the number
of the command to the database before which the process is killed, 0 for never; each line written says how it ended.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from pymongo import monitoring


class Counter(monitoring.CommandListener):
    """Counts commands, and kills before one of them."""

    def __init__(self) -> None:
        self.number, self.last = 0, 0

    def started(self, event: Any) -> None:
        self.number += 1
        if self.number == self.last:
            os.kill(os.getpid(), signal.SIGKILL)

    def succeeded(self, event: Any) -> None:
        pass

    def failed(self, event: Any) -> None:
        pass


def main() -> None:
    counter = Counter()
    monitoring.register(counter)
    from explorer.browser import build as module
    from explorer.data import coco
    from explorer.scoring import parts

    assert coco
    parts.IMAGES_AT_A_TIME, module.SAMPLES_AT_A_TIME, module.UPDATES_AT_A_TIME = 4, 3, 3
    name, data, *runs = sys.argv[1:]
    import fiftyone

    assert fiftyone
    for line in sys.stdin:
        if child := os.fork():
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            print(code, flush=True)  # noqa: T201
        else:
            counter.number, counter.last = 0, int(line)
            module.build(data, [Path(run) for run in runs], name=name)
            print(counter.number, end=" ", flush=True)  # noqa: T201
            os._exit(0)


if __name__ == "__main__":
    main()

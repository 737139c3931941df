"""Builds a data set again and again, each time in a process of its own that dies by SIGKILL when it is told to.

`python tests/browser/killed.py NAME DATA RUN…`, with FiftyOne's environment variables set. Each line read is the number
of the command to the database before which the process is killed, 0 for never, and the number of another process that
is killed instead of it; -1 deletes the data set. Each line written says how it ended, after the number of commands and
a digest of what is in the database.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

from pymongo import monitoring

TIMES = {"created_at", "last_modified_at", "_dataset_id"}
"""What says when something was written."""


class Counter(monitoring.CommandListener):
    """Counts commands, and kills before one of them."""

    def __init__(self) -> None:
        self.number, self.last, self.victim = 0, 0, 0

    def started(self, event: Any) -> None:
        self.number += 1
        if self.number == self.last:
            os.kill(self.victim or os.getpid(), signal.SIGKILL)

    def succeeded(self, event: Any) -> None:
        pass

    def failed(self, event: Any) -> None:
        pass


def everything(name: str) -> dict[str, Any]:
    """All that is in the database of the data set, but for what says when it was written."""
    import fiftyone as fo
    from fiftyone.core.odm import get_db_conn

    db = get_db_conn()
    dataset = fo.load_dataset(name)
    dataset.reload()
    samples = list(db[dataset._sample_collection_name].find().sort("_id"))
    runs = db["datasets"].find_one({"name": name})["evaluations"]
    results = {
        key: db["fs.chunks"].find({"files_id": db["runs"].find_one(own)["results"]}).sort("n")
        for key, own in runs.items()
    }
    return {
        "samples": [{key: value for key, value in sample.items() if key not in TIMES} for sample in samples],
        "results": {key: b"".join(chunk["data"] for chunk in chunks) for key, chunks in results.items()},
        "fields": {path: str(field) for path, field in dataset.get_field_schema(flat=True).items()},
        "info": dataset.info,
        "indexes": dataset.get_index_information(),
        "left behind": len(set(db["fs.chunks"].distinct("files_id")) - set(db["runs"].distinct("results"))),
    }


def main() -> None:
    counter = Counter()
    monitoring.register(counter)
    from explorer.browser import build as module
    from explorer.browser.database import DatabaseError, database_explained
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
            last, *victims = map(int, line.split())
            counter.number, counter.last, counter.victim = 0, last, next(iter(victims), 0)
            if last < 0:
                fiftyone.delete_dataset(name)
                os._exit(0)
            try:
                with database_explained():
                    module.build(data, [Path(run) for run in runs], name=name)
            except DatabaseError as error:
                sys.stderr.write(f"{error}\n")
                os._exit(1)
            number = counter.number
            digest = int(hashlib.sha256(repr(everything(name)).encode()).hexdigest()[:12], 16) if not last else 0
            print(number, digest, end=" ", flush=True)  # noqa: T201
            os._exit(0)


if __name__ == "__main__":
    main()

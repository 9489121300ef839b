"""Which files of the set stand in the models folder, and how much room is left; nothing is written.

usage: python3 - FOLDER ENTRIES     (entries of the models lock, as JSON; an entry without a size is left out)
"""

import json
import shutil
import sys
from pathlib import Path

folder, entries = Path(sys.argv[1]), json.loads(sys.argv[2])
files = []
missing = 0
for entry in entries:
    if entry["bytes"] is None:
        continue
    path = folder / entry["folder"] / entry["name"]
    part = path.with_name(f".{entry['name']}.part")
    size = path.stat().st_size if path.exists() else None
    if size is None:
        # Half a file of a broken fetch has holes: what counts is what is on the disk.
        there = part.stat().st_blocks * 512 if part.exists() else 0
        missing += max(0, entry["bytes"] - there)
    one = {"path": str(path), "size": size, "bytes": entry["bytes"]}
    files.append({**one, "source": entry["source"], "file": entry["path"]})
existing = next(one for one in (folder, *folder.parents) if one.exists())
print(json.dumps({"files": files, "missing": missing, "free": shutil.disk_usage(existing).free}))

#!/usr/bin/env python3
"""Flips one bit at a time in random places of a catalog (segments, keys, rollups, control.db, logs) and asks `pmtop
fsck` about it: it must say so, name the file, and the other files must still be served. Only files that count are
damaged, not those that are kept for a while for others after they were replaced. A flip in the control database that
changes no answer of pmtop (unused space of a page, a row about a replaced file) need not be found. Every few flips are
also repaired.
Needs Python 3.9, nothing else.

    python tests/faults/bitflip.py --pmtop target/release/pmtop --generate target/release/examples/generate_logs
"""

import argparse
import collections
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path


def run(args, catalog, *words):
    return subprocess.run([args.pmtop, "--catalog", str(catalog), *words], capture_output=True, text=True, env=args.env,
                          errors="replace")


def kind_of(path):
    first = path.parts[0]
    if "_delta_log" in path.parts:
        return "log"
    return {"events": "segment", "copies": "segment", "control.db": "db"}.get(first, first)


def says(database):
    """All that the tables hold, or None if it cannot be read."""
    try:
        db = sqlite3.connect(f"file:{database}?mode=ro&immutable=1", uri=True)
        tables = [name for (name,) in db.execute("select name from sqlite_master where type = 'table'")]
        return [(name, sorted(map(repr, db.execute(f"select * from {name}")))) for name in sorted(tables)]
    except (sqlite3.Error, UnicodeDecodeError, OverflowError, ValueError):
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pmtop", required=True, type=os.path.abspath)
    parser.add_argument("--generate", required=True, type=os.path.abspath)
    parser.add_argument("--flips", type=int, default=500)
    parser.add_argument("--repair-every", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="pmtop-bitflip-"))
    args.env = {**os.environ, "HOME": str(work), "XDG_CONFIG_HOME": str(work)}
    chance = random.Random(args.seed)
    try:
        logs, sound = work / "logs", work / "sound"
        subprocess.run([args.generate, "--dir", logs, "--messages", "1500", "--max-file-rows", "60", "--overlap", "10"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        run(args, sound, "ingest", str(logs))
        run(args, sound, "files")
        # Into the file itself, so that every bit of the database is in one place.
        database = sqlite3.connect(sound / "control.db")
        database.execute("pragma wal_checkpoint(truncate)")
        database.close()
        clean = run(args, sound, "fsck", "--format", "json")
        if clean.returncode != 0:
            print(f"FAIL a sound catalog has findings: {clean.stdout}{clean.stderr}")
            return 1
        dump, answers = says(sound / "control.db"), asked(args, sound)
        live = {path for name, rows in [("segments", "path"), ("segments", "'keys/' || path"), ("rollups", "path")]
                for (path,) in sqlite3.connect(sound / "control.db").execute(
                    f"select {rows} from {name} where seq_removed is null")}
        rows = count(args, sound)
        files = collections.defaultdict(list)
        for path in sorted(sound.rglob("*")):
            relative = path.relative_to(sound)
            kind = kind_of(relative)
            if kind in ("segment", "keys", "rollups") and str(relative) not in live:
                continue
            if path.is_file() and path.stat().st_size and kind in ("segment", "keys", "rollups", "db", "log"):
                files[kind].append(relative)
        found, failures, idle = collections.Counter(), [], collections.Counter()
        for flip in range(args.flips):
            # A kind first: segments, database and logs alike, whatever their sizes.
            kind = ["segment", "db", "log", "segment", "db", "log", "keys", "rollups"][flip % 8]
            path = chance.choice(files[kind])
            damaged = work / "damaged"
            shutil.rmtree(damaged, ignore_errors=True)
            shutil.copytree(sound, damaged)
            bytes_ = bytearray((damaged / path).read_bytes())
            at, bit = chance.randrange(len(bytes_)), chance.randrange(8)
            bytes_[at] ^= 1 << bit
            (damaged / path).write_bytes(bytes_)
            where = f"bit {bit} of byte {at} of {path}"
            answer = run(args, damaged, "fsck", "--format", "json")
            if answer.returncode == 0:
                if kind == "db" and (says(damaged / path) == dump or asked(args, damaged) == answers):
                    idle[kind] += 1
                else:
                    failures.append(f"{where}: not found")
                continue
            try:
                named = {finding["path"] for finding in json.loads(answer.stdout)}
            except ValueError:
                failures.append(f"{where}: no findings, but {answer.stderr.strip()[:200]}")
                continue
            if str(path) not in named and not (kind == "db" and named):
                failures.append(f"{where}: not named, but {sorted(named)[:3]}")
                continue
            found[kind] += 1
            if flip % args.repair_every:
                continue
            repaired = run(args, damaged, "fsck", "--repair", "--format", "json")
            again = run(args, damaged, "fsck", "--format", "json")
            served = count(args, damaged)
            if again.returncode != 0:
                failures.append(f"{where}: not repaired: {repaired.stderr.strip()[:200]} {again.stdout[:300]}")
            elif served is None or (kind != "segment" and served != rows):
                failures.append(f"{where}: after the repair {served} rows and not {rows}")
            elif kind == "segment":
                run(args, damaged, "ingest", str(logs))
                if count(args, damaged) != rows:
                    failures.append(f"{where}: the rows did not come back with their log file")
        for failure in failures[:20]:
            print(f"FAIL {failure}")
        print(f"{args.flips} flips, {sum(map(len, files.values()))} files: found {dict(found)}, "
              f"without effect {dict(idle)}, failures {len(failures)}")
        return 1 if failures else 0
    finally:
        shutil.rmtree(work, ignore_errors=True)


def asked(args, catalog):
    """The answers that the control database decides."""
    questions = [["files"], ["report", "totals"], ["sql", "select event_type, kind, count(*) n from events group by 1, 2 order by 1, 2"]]
    return [run(args, catalog, *question, "--format", "json").stdout for question in questions]


def count(args, catalog):
    answer = run(args, catalog, "sql", "select count(*) n from events", "--format", "json")
    return json.loads(answer.stdout)[0]["n"] if answer.returncode == 0 else None


if __name__ == "__main__":
    sys.exit(main())

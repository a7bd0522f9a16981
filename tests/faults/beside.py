#!/usr/bin/env python3
"""R10: for some minutes one process takes files in, one removes some and takes them in again (each with housekeeping at its
end), and one asks. Every answer is that of one commit, exactly: what each commit held is read from `control.db` afterwards."""

import random
import sqlite3
import sys
import threading
import time

from common import Problems, arguments, exactly_once, finish, generate, pmtop, scratch

LIVE = "select coalesce(sum(rows), 0) from segments where path like ?1 and seq_added <= ?2 and (seq_removed is null or seq_removed > ?2)"


def main():
    args = arguments(__doc__, seconds=180, files=120, rows=2000)
    chance, problems, root = random.Random(args.seed), Problems(), scratch(args)
    files, _ = generate(args, root / "inbox", messages=args.files * args.rows // 2, max_file_rows=args.rows, overlap=100)
    # Segments that have left stay known, so that every commit can be looked at afterwards.
    config = root / "config.toml"
    config.write_text("[retention]\ngrace_hours = 24\n")
    program = pmtop(args, root / "catalog")
    program.env["PMTOP_CONFIG"] = str(config)
    program.ingest(files[0])
    until, samples, removed = time.monotonic() + args.seconds, [], [0]

    def guarded(work):
        def run():
            try:
                while time.monotonic() < until:
                    work()
            except Exception as error:  # noted, and the others go on
                problems.add(str(error)[-400:])
        return threading.Thread(target=run)

    def add():
        program.ingest(*chance.sample(files, 6), ok=(0, 1))

    def take_out():
        path = chance.choice(files)
        program.run("files", "remove", path.name, ok=(0, 1))
        removed[0] += 1

    def ask():
        table = chance.choice(["events", "copies"])
        samples.append((table, program.count(f"select count(*) from {table}")))

    threads = [guarded(work) for work in (add, take_out, ask, ask)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    database = sqlite3.connect(f"file:{root / 'catalog' / 'control.db'}?mode=ro", uri=True)
    commits = [seq for (seq,) in database.execute("select seq from commits order by seq")]
    held = {table: {database.execute(LIVE, (f"{table}/%", seq)).fetchone()[0] for seq in commits} for table in ("events", "copies")}
    for table, rows in samples:
        if rows not in held[table]:
            problems.add(f"{rows} rows of {table}: no commit held so many")
    program.ingest(root / "inbox", ok=(0, 1))
    rows = exactly_once(program.catalog, files, problems, "at the end")
    finish(args, root, problems, seconds=args.seconds, commits=len(commits), removals=removed[0], answers=len(samples), rows=rows)


if __name__ == "__main__":
    sys.exit(main())

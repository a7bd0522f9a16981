#!/usr/bin/env python3
"""R1: two processes take in one folder into one catalog and are killed at random moments; every row counts once."""

import random
import sys
import time

from common import (
    Problems, arguments, control, disguise, disguises, exactly_once, finish, generate, kill, like_truth, orphans, pmtop,
    quiet, scratch, timed,
)


def commits(catalog):
    try:
        return control(catalog, "select count(*) from commits")[0][0]
    except Exception:  # the first process was killed before it made the database
        return -1


def proceeds(program, inbox, problems):
    """A process alone, right after a kill: how long until a file is committed (or the end, if nothing was left)."""
    before, began = commits(program.catalog), time.monotonic()
    process = quiet(program, "ingest", inbox)
    while process.poll() is None and commits(program.catalog) <= before:
        time.sleep(0.002)
    return time.monotonic() - began, process


def main():
    args = arguments(__doc__, kills=300, files=200, rows=3500, gap=0.25, limit=2.0)
    chance, problems, root = random.Random(args.seed), Problems(), scratch(args)
    files, truth = generate(
        args, root / "inbox", messages=args.files * args.rows // 2, max_file_rows=args.rows, overlap=100
    )
    copies = [disguise(path, root / "inbox", chance.choice(disguises())) for path in files if chance.random() < 0.3]
    kills, rounds, answer, proceed, left = 0, 0, [], [], 0
    while kills < args.kills and not problems:
        rounds += 1
        program = pmtop(args, root / f"catalog-{rounds}")
        inbox = root / "inbox"
        pair = [quiet(program, "ingest", inbox), quiet(program, "ingest", inbox)]
        turn, idle = 0, 0
        while kills < args.kills and idle < 4:
            time.sleep(chance.uniform(0.0, args.gap))
            idle = idle + 1 if pair[turn].poll() is not None else 0
            if pair[turn].poll() is None:
                kill(pair[turn])
                kills += 1
                if kills % 5 == 0:
                    if pair[1 - turn].poll() is None:
                        kill(pair[1 - turn])
                        kills += 1
                    seconds, pair[1 - turn] = proceeds(program, inbox, problems)
                    proceed.append(seconds)
                if commits(program.catalog) >= 0:
                    seconds, _ = timed(lambda: program.run("sql", "select count(*) from events"))
                    answer.append(seconds)
            pair[turn] = quiet(program, "ingest", inbox)
            turn = 1 - turn
        for process in pair:
            kill(process)
        lines = program.ingest(inbox, ok=(0, 1))
        for line in lines:
            if line["status"] not in ("done", "duplicate"):
                problems.add(f"round {rounds}: {line['name']}: {line['status']} {line['error']}")
        where = f"round {rounds}, {kills} kills"
        rows = exactly_once(program.catalog, files, problems, where)
        like_truth(program, truth, problems, where)
        left = max(left, orphans(program.catalog))
    for name, seconds in [("answer", answer), ("proceed", proceed)]:
        if seconds and max(seconds) >= args.limit:
            problems.add(f"recovery ({name}) took {max(seconds):.2f} s")
    finish(
        args, root, problems, kills=kills, rounds=rounds, files=len(files), copies=len(copies), rows=rows, orphans=left,
        answer_max_s=f"{max(answer, default=0):.2f}", proceed_max_s=f"{max(proceed, default=0):.2f}",
    )


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""The same files in N random orders, with copies, overlaps, a file that grew, a cut one, two processes and kills: every
answer is the same each time, and the totals are the generator's truth."""

import json
import random
import shutil
import sys
import time

from common import (
    Problems, arguments, disguise, disguises, exactly_once, finish, generate, kill, like_truth, pmtop, quiet, scratch,
)

DIMENSIONS = ["domain", "provider", "job", "user", "sender", "sender-domain", "vmta", "pool", "source-ip"]
REPORTS = (
    [["totals"], ["latency"], ["domains"], ["risk"], ["jobs"], ["users"], ["senders"], ["replies"]]
    + [["operations", "--by", name] for name in DIMENSIONS]
    + [["operations", "--bucket", "hour"], ["totals", "--type", "acct"], ["totals", "--type", "bounce"]]
)
STATEMENTS = [
    "select event_type, record_type, kind, date, count(*) as n from events group by 1, 2, 3, 4 order by 1, 2, 3, 4",
    "select event_type, record_type, date, count(*) as n from copies group by 1, 2, 3 order by 1, 2, 3",
    "select bounce_category, bounce_class, reply_class, count(*) as n, sum(size_bytes) as size,"
    " sum(delivery_latency_ms) as ms from events group by 1, 2, 3 order by 1, 2, 3",
]


def answers(program):
    """Every report and statement, rows in an order that ties can't change."""
    out = {}
    for report in REPORTS:
        rows = program.json("report", *report)
        out[" ".join(report)] = sorted(rows, key=json.dumps) if isinstance(rows, list) else rows
    for statement in STATEMENTS:
        out[statement] = program.json("sql", statement)
    return out


def difference(name, got, want):
    if isinstance(got, dict):
        return f"{name}: " + str({k: (got.get(k), want.get(k)) for k in {**got, **want} if got.get(k) != want.get(k)})[:300]
    more, less = [r for r in got if r not in want], [r for r in want if r not in got]
    return f"{name}: {len(more)} rows differ, such as {difference('', more[0], less[0]) if more and less else (more or less)[:1]}"


def take_in(program, files, chance):
    """The files in this order, in batches, by one or two processes, some of which are killed and started again."""
    kills = 0
    while files:
        size = chance.choice([1, 1, 2, 5, len(files)])
        batch, files = files[:size], files[size:]
        # A file that grew has the path of its first half and can't be in a batch with it: see main.
        how = chance.choice(["one", "two", "kill"])
        if how == "two":
            half = len(batch) // 2
            pair = [quiet(program, "ingest", *part) for part in (batch[half:], batch[:half] + batch[half:]) if part]
            for process in pair:
                process.wait()
        elif how == "kill":
            process = quiet(program, "ingest", *batch)
            time.sleep(chance.uniform(0.0, 0.15))
            if process.poll() is None:
                kill(process)
                kills += 1
        program.ingest(*batch)
    return kills


def main():
    args = arguments(__doc__, orders=20, messages=3000, days=1)
    chance, problems, root = random.Random(args.seed), Problems(), scratch(args)
    files, truth = generate(
        args, root / "logs", messages=args.messages, days=args.days, max_file_rows=args.messages // 3, overlap=150
    )
    extra = root / "extra"
    extra.mkdir()
    copies = [disguise(path, extra, chance.choice(disguises())) for path in files if chance.random() < 0.4]
    # The first part of a file under a name of its own, cut in the middle of a line: only its last row is not whole.
    whole = next(path for path in files if path.name.startswith("acct"))
    data = whole.read_bytes()
    cut = extra / f"cut-{whole.name}"
    # Cut in the row's third cell: too short to be taken for a row of its own.
    end = data.rfind(b"\n", 0, len(data) * 2 // 3) + 30
    cut.write_bytes(data[:end])
    grower = next(path for path in files if path.name.startswith("tran"))
    half = grower.read_bytes()
    half = half[: half.rfind(b"\n", 0, len(half) // 2) + 1]

    first, kills, rows = None, 0, 0
    for order in range(args.orders):
        folder = root / f"order-{order}"
        folder.mkdir()
        chance = random.Random(args.seed * 1000 + order)
        program = pmtop(args, folder / "catalog")
        growing = folder / grower.name
        growing.write_bytes(half)
        todo = [path for path in files if path != grower] + copies + [cut]
        chance.shuffle(todo)
        at = chance.randrange(len(todo) + 1)
        kills += take_in(program, todo[:at] + [growing], chance)
        growing.write_bytes(grower.read_bytes())
        rest = todo[at:] + [growing]
        chance.shuffle(rest)
        kills += take_in(program, rest, chance)
        where = f"order {order}"
        like_truth(program, truth, problems, where)
        got = answers(program)
        if first is None:
            first = got
        for name, want in first.items():
            if got[name] != want:
                problems.add(f"{where}: {difference(name, got[name], want)}")
        rows = program.count("select count(*) from events")
        if rows != sum(truth["events"].values()):
            problems.add(f"{where}: {rows} events, the truth says {sum(truth['events'].values())}")
        if not problems:
            shutil.rmtree(folder)
    finish(
        args, root, problems, orders=args.orders, files=len(files), copies=len(copies) + 2, kills=kills, events=rows,
        answers=len(first),
    )


if __name__ == "__main__":
    sys.exit(main())

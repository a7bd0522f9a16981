#!/usr/bin/env python3
"""Small random sets of files that share rows, with columns missing here and there: the answers must not depend on the
order of the files, a filter on types or files must give what a catalog of only those files gives, and so must removing a
file (SPEC 2.4, 2.6).

    python tests/oracle/merge.py --pmtop target/release/pmtop [--cases 40] [--seed 1]
"""

import argparse
import csv
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

# Few values each, so that rows collide; "" is an empty cell.
VALUES = {
    "timeLogged": ["2026-11-23 10:00:00+0000", "2026-11-23 10:00:01+0000"],
    "timeQueued": ["2026-11-23 09:59:00+0000", "2026-11-23 09:58:00+0000", ""],
    "orig": ["a@x.example", "b@x.example", ""],
    "rcpt": ["r@y.example", "s@y.example", "R@Y.example", ""],
    "jobId": ["j-1", "j-2", ""],
    "envId": ["e1", ""],
    "queue": ["y.example/v1", "y.example/v2", ""],
    "dlvSourceIp": ["192.0.2.1", "192.0.2.2", ""],
    "dsnStatus": ["5.1.1 (bad)", "4.2.1 (later)", ""],
    "dsnDiag": ["smtp;550 5.1.1 no such user", "smtp;451 4.2.1 later", ""],
    "bounceCat": ["bad-mailbox"],
    "vmta": ["v1"],
}
OPTIONAL = ["timeQueued", "orig", "jobId", "envId", "queue", "dlvSourceIp", "dsnStatus", "dsnDiag"]
ROLES = {"acct": ["b", "b", "b", "b", "d", "r"], "bounce": ["b"], "tran": ["t", "t", "tq"], "fbl": ["f"], "rb": ["rb"]}


def case(rng):
    """Files as lists of rows; some rows go to several of them."""
    # Rows that differ in one or two cells: with columns missing here and there, several pairs are alike.
    base = {name: rng.choice(values[:2]) for name, values in VALUES.items()}
    pool = [base]
    for _ in range(rng.randint(1, 5)):
        row = dict(rng.choice(pool))
        for name in rng.sample([*OPTIONAL, *OPTIONAL, *VALUES], rng.randint(1, 2)):
            row[name] = rng.choice(VALUES[name])
        pool.append(row)
    files = []
    for number in range(rng.randint(2, 4)):
        role = rng.choice(rng.choice([["acct", "bounce"], ["acct", "bounce"], ["acct", "bounce", "rb"], list(ROLES)]))
        missing = [name for name in OPTIONAL if rng.random() < 0.25]
        rows = []
        for _ in range(rng.randint(2, 9)):
            row = {"type": rng.choice(ROLES[role]), **rng.choice(pool)}
            rows.append({name: value for name, value in row.items() if name not in missing})
        rows.sort(key=lambda row: row["timeLogged"])
        if role == "acct":  # a file of b rows alone is a bounce file unless its name says acct
            rows.append({**rows[-1], "type": "d"})
        columns = list(rows[0])
        rng.shuffle(columns)
        files.append((f"{role}-{number}.csv", role, columns, rows))
    return files


class Program:
    def __init__(self, binary, home):
        self.binary = str(binary)
        self.env = {**{name: value for name, value in os.environ.items() if not name.startswith("PMTOP_")},
                    "HOME": str(home), "XDG_CONFIG_HOME": str(home)}

    def run(self, catalog, *args):
        done = subprocess.run([self.binary, "--catalog", str(catalog), *args], env=self.env, capture_output=True, text=True,
                              check=False)
        if done.returncode:
            raise RuntimeError(f"{args}: {done.stdout}{done.stderr}")
        return done.stdout

    def answers(self, catalog, *flags):
        totals = json.loads(self.run(catalog, "report", "totals", "--format", "json", *flags))
        by_job = json.loads(self.run(catalog, "report", "operations", "--by", "job", "--bucket", "hour",
                                     "--format", "json", *flags))
        return {"totals": totals, "by job": by_job}


def events_of(program, catalog):
    return program.run(catalog, "sql", "select event_type, record_type, recipient, sender, job_id, env_id, queue, source_ip,"
                       " dsn_diag, count(*) as n from events group by 1, 2, 3, 4, 5, 6, 7, 8, 9 order by 1, 2, 3, 4, 5,"
                       " 6, 7, 8, 9", "--format", "json")


def write(folder, files):
    folder.mkdir(parents=True)
    paths = []
    for name, _, columns, rows in files:
        path = folder / name
        with open(path, "w", newline="", encoding="utf-8") as out:
            table = csv.DictWriter(out, ["type", *[column for column in columns if column != "type"]], lineterminator="\n")
            table.writeheader()
            table.writerows(rows)
        paths.append(path)
    return paths


def differing(got, want):
    return [f"{key}: got {got[key]!r}, want {want[key]!r}"[:400] for key in want if got[key] != want[key]]


MERGED = []


def check(program, work, files, rng):
    """Problems of one case."""
    paths = write(work / "logs", files)
    orders = list(itertools.permutations(range(len(paths))))
    rng.shuffle(orders)
    first = None
    for number, order in enumerate(orders[:3]):
        catalog = work / f"order-{number}"
        for index in order:
            program.run(catalog, "ingest", str(paths[index]))
        found = (program.answers(catalog), events_of(program, catalog))
        if first is None:
            first, reference = found, catalog
        elif found != first:
            details = differing(found[0]["totals"], first[0]["totals"])
            yield f"order {order} differs from {orders[0]}: {details or 'rows by job, or the events themselves'}"
    MERGED.append(first[0]["totals"]["merged_duplicates"])
    roles = sorted({role for _, role, _, _ in files})
    for size in range(1, len(roles)):
        for chosen in itertools.combinations(roles, size):
            catalog = work / f"only-{'-'.join(chosen)}"
            for path, (_, role, _, _) in zip(paths, files):
                if role in chosen:
                    program.run(catalog, "ingest", str(path))
            flags = [flag for role in chosen for flag in ("--type", role)]
            want, got = program.answers(catalog), program.answers(reference, *flags)
            for answer in (want, got):
                answer["totals"].pop("scope")
            if got != want:
                details = differing(got["totals"], want["totals"])
                yield f"--type {' '.join(chosen)}: {details or 'rows by job'}"
    # A file that goes takes nothing else along, and what it had shadowed comes back.
    for gone in paths:
        catalog, without = work / f"order-{len(orders[:3]) - 1}", work / f"without-{gone.stem}"
        program.run(catalog, "files", "remove", gone.name)
        for path in paths:
            if path != gone:
                program.run(without, "ingest", str(path))
        got = (program.answers(catalog), events_of(program, catalog))
        want = (program.answers(without), events_of(program, without))
        if got != want:
            details = differing(got[0]["totals"], want[0]["totals"])
            yield f"after removing {gone.name}: {details or 'rows by job, or the events themselves'}"
        program.run(catalog, "ingest", str(gone))
    for chosen in itertools.combinations(paths, 2):
        catalog = work / f"only-{'-'.join(path.stem for path in chosen)}"
        for path in chosen:
            program.run(catalog, "ingest", str(path))
        flags = [flag for path in chosen for flag in ("--file", path.name)]
        want, got = program.answers(catalog), program.answers(reference, *flags)
        for answer in (want, got):
            # Copies are not counted under a filter on files, so a row may be there for them alone.
            answer["totals"].pop("scope")
            answer["totals"].pop("merged_duplicates")
            for row in answer["by job"]:
                row.pop("merged_duplicates")
            answer["by job"] = [row for row in answer["by job"] if any(
                row[name] for name in ("sent", "delivered", "bounced_total", "deferrals", "rb_events", "complaints",
                                       "queue_errors", "remote_bounces"))]
        if got != want:
            details = differing(got["totals"], want["totals"])
            yield f"--file {' '.join(path.name for path in chosen)}: {details or 'rows by job'}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--pmtop", required=True, type=Path)
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    failed = 0
    for number in range(options.seed, options.seed + options.cases):
        with tempfile.TemporaryDirectory(prefix="pmtop-merge-") as folder:
            work = Path(folder)
            rng = random.Random(number)
            files = case(rng)
            problems = list(check(Program(options.pmtop.absolute(), work), work, files, rng))
            if problems:
                failed += 1
                print(f"FAIL seed {number}: {', '.join(name for name, *_ in files)}")
                for problem in problems[:3]:
                    print(f"     {problem}")
                if failed <= 2:
                    for path in sorted((work / "logs").iterdir()):
                        print(f"     --- {path.name}\n" + "".join(f"     {line}\n" for line in path.read_text().splitlines()), end="")
    print(f"{sum(MERGED)} rows merged in {options.cases} cases")
    print(f"{options.cases - failed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

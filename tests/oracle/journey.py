#!/usr/bin/env python3
"""Links of complaints and remote bounces, and whole journeys, against the generator's truth: precision and recall with
message ids in the logs and without, and how long following a message takes. No job of the generator writes twice to a
recipient, so job and recipient of a row tell which message it was linked to.

    python tests/oracle/journey.py --pmtop target/release/pmtop --generate target/release/examples/generate_logs
"""

import argparse
import collections
import csv
import io
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from check import Checks, Pmtop

ID = "header_Message-Id"


def without_ids(source, target):
    """The same files without the column of message ids, which is the last one where there is one."""
    target.mkdir()
    for path in source.iterdir():
        lines = path.read_text().splitlines()
        cut = lines[0].endswith(ID)
        (target / path.name).write_text("".join((line.rsplit(",", 1)[0] if cut else line) + "\n" for line in lines))


def rows_of(pmtop, *flags):
    csv.field_size_limit(1 << 24)
    return list(csv.DictReader(io.StringIO(pmtop.run("events", "--format", "csv", "--raw", *flags))))


def linked(pmtop):
    """Every report by file and row: the job, recipient, VMTA and address under which it counts."""
    names = {row["file_id"]: row["name"] for row in pmtop.json("sql", "select file_id, name from files")}
    rows = [row for record in ("f", "rb", "rs") for row in rows_of(pmtop, "--record-type", record)]
    first = min(int(row["row_number"]) for row in rows)
    return {(names[int(row["file_id"])], int(row["row_number"]) + 1 - first): row for row in rows}


def measure(found, truth, carries):
    right = told = total = 0
    for link in truth:
        if not carries(link):
            continue
        row = found[link["file"], int(link["row"])]
        total += 1
        told += row["vmta"] != ""
        right += [row["job_id"], row["recipient"].lower(), row["vmta"], row["source_ip"]] == [
            link["job"], link["recipient"].lower(), link["vmta"], link["source_ip"]]
    return right / max(told, 1), right / max(total, 1), total


KINDS = {
    "every report": lambda link: True,
    "with the message id in the row": lambda link: link["has_id"] == "true",
    "with an id or a sender of its own (VERP)": lambda link: link["has_id"] == "true" or "=" in link["sender"],
    "complaints": lambda link: link["record"] == "f",
    "remote bounces": lambda link: link["record"] == "rb",
}


def check_links(checks, name, pmtop, truth, strict):
    found = linked(pmtop)
    for kind, carries in KINDS.items():
        precision, recall, n = measure(found, truth, carries)
        print(f"     {name}: {kind}: {n} reports, precision {precision:.4f}, recall {recall:.4f}", flush=True)
        wanted = 0.98 if strict and "id" in kind.split() else 0
        checks.report(f"{name}: {kind}", [] if precision >= 0.995 and recall >= wanted else [f"{precision}, {recall}"])


def check_journeys(checks, name, pmtop, truth, seed, with_ids):
    """The messages of some reports, followed by id and by recipient."""
    problems, spans = [], []
    strict = [link for link in truth if KINDS["with an id or a sender of its own (VERP)"](link) and link["counts"] == "true"]
    for link in random.Random(seed).sample(strict, min(40, len(strict))):
        for who in [link["message_id"], link["recipient"]] if with_ids else [link["recipient"]]:
            began = time.monotonic()
            found = pmtop.json("journey", who)
            spans.append(time.monotonic() - began)
            mine = [message for message in found if message["job"] == link["job"]
                    and message["recipient"].lower() == link["recipient"].lower()]
            kinds = collections.Counter(event["kind"] for message in mine for event in message["events"])
            kind = "complaint" if link["record"] == "f" else "remote_bounce"
            if len(mine) != 1 or not kinds[kind] or kinds["delivered"] != 1 or kinds["received"] != 1:
                problems.append(f"{who}: {len(mine)} messages of {link['job']}, {dict(kinds)}")
    spans.sort()
    print(f"     {name}: following a message, a process each: median {spans[len(spans) // 2] * 1000:.0f} ms, "
          f"95 % {spans[len(spans) * 95 // 100] * 1000:.0f} ms, {len(spans)} runs", flush=True)
    checks.report(f"{name}: journeys hold receipt, delivery and what came after", problems)


def run(options, work):
    checks = Checks()
    logs = work / "logs"
    subprocess.run([options.generate.absolute(), "--dir", logs, "--links", work / "links.csv", "--truth", work / "t.json",
                    "--messages", str(options.messages), "--days", str(options.days), "--seed", str(options.seed)],
                   check=True, capture_output=True)
    with open(work / "links.csv", newline="", encoding="utf-8") as lines:
        truth = list(csv.DictReader(lines))
    without_ids(logs, work / "plain")
    for name, folder, strict in [("with ids", logs, True), ("without ids", work / "plain", False)]:
        pmtop = Pmtop(options.pmtop.absolute(), work / f"catalog {strict}", work)
        began = time.monotonic()
        pmtop.ingest(folder)
        pmtop.totals()
        print(f"     {name}: taken in within {time.monotonic() - began:.1f} s", flush=True)
        check_links(checks, name, pmtop, truth, strict)
        check_journeys(checks, name, pmtop, truth, options.seed, strict)
    print(f"{checks.passed} passed, {checks.failed} failed", flush=True)
    return 1 if checks.failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--pmtop", required=True, type=Path)
    parser.add_argument("--generate", required=True, type=Path)
    parser.add_argument("--messages", type=int, default=60_000, help="a day")
    parser.add_argument("--days", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="work here and leave everything for a look")
    options = parser.parse_args()
    if options.keep:
        options.keep.mkdir(parents=True)
        return run(options, options.keep.absolute())
    with tempfile.TemporaryDirectory(prefix="pmtop-journey-") as folder:
        return run(options, Path(folder))


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""A catalog of 2,000 small files: what taking them in costs, and how long plans and answers take."""

import common

HOUR = "event_time >= '{day}T10:00:00Z' and event_time < '{day}T11:00:00Z'"


def main():
    given = common.options(__doc__, messages=100_000, days=1).parse_args()
    work, kept = common.folder(given.work)
    folder = common.logs(given, work, "--max-file-rows", "100")
    catalog = work / "catalog"
    print(common.machine())
    if not catalog.exists():
        taken = common.measured([given.pmtop.absolute(), "--catalog", catalog, "ingest", folder], work, output=True)
        print(f"ingest: {taken['s']:.1f} s, {taken['cpu']:.1f} s CPU, peak RSS {taken['rss']:.0f} MiB; "
              f"{taken['out'].strip().splitlines()[-1]}")
    count = lambda name: sum(1 for _ in (catalog / name).rglob("*.parquet"))
    print(f"{count('events')} segments of events, {count('copies')} of copies, {count('rollups')} rollup files\n")
    day = min(path.name for path in (catalog / "events").iterdir())[5:]
    hour = HOUR.format(day=day)
    questions = [
        ["sql", "explain select count(*) from events where recipient_domain = 'gmail.com'"],
        ["sql", f"explain select count(*) from events where {hour}"],
        ["sql", "select count(*) from events"],
        ["sql", f"select count(*) from events where {hour}"],
        ["sql", "select count(*) from events where recipient_domain = 'gmail.com'"],
        ["sql", "select count(*) from events where recipient = 'nobody@nowhere.example'"],
        ["report", "totals"],
        ["report", "totals", "--since", f"{day}T10:00", "--until", f"{day}T11:00"],
        ["report", "operations", "--by", "domain"],
        ["report", "totals", "--recipient", "nobody@nowhere.example"],
        ["events", "--limit", "100"],
        ["files"],
    ]
    print("| question | p50 / p95 ms | CPU ms | RSS MiB |\n|---|---:|---:|---:|")
    for question in questions:
        command = [given.pmtop.absolute(), "--catalog", catalog, *question]
        common.measured(command, work)
        runs = [common.measured(command, work) for _ in range(given.runs)]
        times = [run["s"] * 1000 for run in runs]
        print(f"| `{' '.join(question)}` | {common.median(times):.0f} / {common.percentile(times, 95):.0f} | "
              f"{common.median([run['cpu'] for run in runs]) * 1000:.0f} | {max(run['rss'] for run in runs):.0f} |",
              flush=True)
    del kept


if __name__ == "__main__":
    main()

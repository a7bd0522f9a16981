#!/usr/bin/env python3
"""How long reports take, each in a new process with a warm page cache (process start, catalog and rollups included),
beside DuckDB asking the catalog's Parquet for the same numbers."""

import sys
import time

import common

PERCENTILES = "[0.5, 0.9, 0.95, 0.99]"
LATENCY = f"quantile_disc(delivery_latency_ms, {PERCENTILES}) filter (kind = 'delivered'), avg(delivery_latency_ms) filter (kind = 'delivered')"
COUNTS = """count(*) filter (kind = 'received'), count(*) filter (kind = 'delivered'), count(*) filter (kind = 'bounced'),
    count(*) filter (bounce_class = 'hard'), count(*) filter (bounce_class = 'soft'), count(*) filter (kind = 'deferred'),
    count(*) filter (kind = 'complaint'), count(*) filter (is_rb), """ + LATENCY


def select(group="", where="true"):
    keys = f"{group}, " if group else ""
    tail = " group by all" if group else ""
    return f"select {keys}{COUNTS} from events where {where}{tail}"


def questions(day, domain, job, recipient):
    """Name, pmtop arguments, the same for DuckDB."""
    ragged = f"event_time >= '{day} 10:07:13+00' and event_time < '{day} 14:52:41+00'"
    hour = "time_bucket(interval 1 hour, event_time)"
    flags = ["--since", f"{day}T10:07:13", "--until", f"{day}T14:52:41"]
    operations = ["report", "operations"]
    return [
        ("totals", ["report", "totals"], select()),
        ("operations --by domain", [*operations, "--by", "domain"], select("recipient_domain")),
        ("operations --by job", [*operations, "--by", "job"], select("job_id")),
        ("operations --bucket hour", [*operations, "--bucket", "hour"], select(hour)),
        ("operations --by job --bucket hour", [*operations, "--by", "job", "--bucket", "hour"],
         select(f"job_id, {hour}")),
        ("operations --by domain --bucket day", [*operations, "--by", "domain", "--bucket", "day"],
         select("recipient_domain, date")),
        ("operations --bucket minute, 5 hours", [*operations, "--bucket", "minute", *flags],
         select("time_bucket(interval 1 minute, event_time)", ragged)),
        ("domains", ["report", "domains"], select("recipient_domain")),
        ("latency --by vmta", ["report", "latency", "--by", "vmta"], select("vmta")),
        ("risk --by user", ["report", "risk", "--by", "user"], select("user_id")),
        ("jobs", ["report", "jobs"], select("job_id")),
        ("replies", ["report", "replies"],
         "select dsn_diag, reply_class, provider, count(*) from events where dsn_diag is not null and kind <> 'delivered'"
         " group by all"),
        ("totals, one domain", ["report", "totals", "--domain", domain], select(where=f"recipient_domain = '{domain}'")),
        ("totals, domain and job", ["report", "totals", "--domain", domain, "--job", job],
         select(where=f"recipient_domain = '{domain}' and job_id = '{job}'")),
        ("totals, ragged range", ["report", "totals", *flags], select(where=ragged)),
        ("totals, status 5*", ["report", "totals", "--status", "5*"], select(where="smtp_status like '5%'")),
        ("totals, one recipient", ["report", "totals", "--recipient", recipient],
         select(where=f"recipient = '{recipient}'")),
        ("operations --by sender", [*operations, "--by", "sender", "--limit", "100"],
         select("sender") + " order by 2 desc limit 100"),
        ("events, newest 100", ["events", "--limit", "100"], "select * from events order by event_time desc limit 100"),
        ("events of a recipient", ["events", "--recipient", recipient],
         f"select * from events where recipient = '{recipient}'"),
        ("sql count(*)", ["sql", "select count(*) from events"], "select count(*) from events"),
    ]


def main():
    parser = common.options(__doc__, messages=200_000, days=3)
    parser.add_argument("--no-duckdb", action="store_true")
    given = parser.parse_args()
    import duckdb

    work, kept = common.folder(given.work)
    catalog = work / "catalog"
    if not catalog.exists():
        folder = common.logs(given, work)
        taken = common.measured([given.pmtop.absolute(), "--catalog", catalog, "ingest", folder], work, output=True)
        size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
        print(f"ingest: {size:.0f} MB in {taken['s']:.1f} s ({size / taken['s']:.0f} MB/s), {taken['cpu']:.1f} s CPU, "
              f"peak RSS {taken['rss']:.0f} MiB; {taken['out'].strip().splitlines()[-1]}")
    database = duckdb.connect(config={"threads": 2})
    database.execute("set timezone = 'UTC'")
    database.execute(f"create view events as select * from read_parquet('{catalog}/events/**/*.parquet', hive_partitioning = false)")
    one = lambda statement: database.execute(statement).fetchone()
    rows, days, day = one("select count(*), count(distinct date), max(date) filter (kind = 'received') from events")
    domain, job, recipient = one("""select any_value(recipient_domain), any_value(job_id), any_value(recipient)
                                    from (select * from events where kind = 'bounced' limit 1)""")
    print(f"{rows} events on {days} days; {common.machine()}; {given.runs} runs\n")
    print("| question | pmtop p50 / p95 ms | DuckDB p50 / p95 ms | pmtop RSS MiB | CPU ms |")
    print("|---|---:|---:|---:|---:|")
    for name, args, statement in questions(day, domain, job, recipient):
        command = [given.pmtop.absolute(), "--catalog", catalog, *args, "--format", "json"]
        if common.measured(command, work)["failed"]:
            print(f"| {name} | failed | | | |", flush=True)
            continue
        runs = [common.measured(command, work) for _ in range(given.runs)]
        ours = [run["s"] * 1000 for run in runs]
        theirs = []
        for _ in range(0 if given.no_duckdb else given.runs):
            began = time.perf_counter()
            database.execute(f"create or replace temp table answer as {statement}")
            theirs.append((time.perf_counter() - began) * 1000)
        shown = f"{common.median(theirs):.0f} / {common.percentile(theirs, 95):.0f}" if theirs else "–"
        print(f"| {name} | {common.median(ours):.0f} / {common.percentile(ours, 95):.0f} | {shown} | "
              f"{max(run['rss'] for run in runs):.0f} | {common.median([run['cpu'] for run in runs]) * 1000:.0f} |", flush=True)
    del kept


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""The shape of the rollups: how many cells they hold, how many other shapes would hold, and what all of it takes on
disk."""

import math
import sys
from pathlib import Path

import duckdb

DIMENSIONS = ["job_id", "user_id", "sender_domain", "recipient_domain", "provider", "vmta", "vmta_pool", "source_ip"]
OUTCOMES = ["event_type", "record_type", "kind", "bounce_category", "bounce_class", "reply_class", "smtp_status",
            "smtp_code", "is_rb", "shadow"]
TIMES = {"quarter": "bucket", "hour": "date_trunc('hour', bucket)", "day": "date_trunc('day', bucket)"}
# ln of the ratio of neighbouring latency buckets at 0.5 % relative accuracy.
LOG_GAMMA = math.log(1.005 / 0.995)


def size(folder, pattern="*"):
    return sum(path.stat().st_size for path in folder.rglob(pattern) if path.is_file()) / 1e6


def main():
    catalog = Path(sys.argv[1])
    print("| on disk | MB | files |\n|---|---:|---:|")
    for name in ["events", "copies", "keys", "rollups"]:
        print(f"| {name} | {size(catalog / name):.1f} | {sum(1 for _ in (catalog / name).rglob('*.parquet'))} |")
    for kind in ["counts", "latency"]:
        print(f"| of the rollups: {kind} | {size(catalog / 'rollups', f'*.{kind}.parquet'):.1f} | |")
    database = duckdb.connect(config={"threads": 2})
    one = lambda statement: database.execute(statement).fetchone()
    for kind in ["counts", "latency"]:
        database.execute(f"create table {kind} as select * from read_parquet('{catalog}/rollups/**/*.{kind}.parquet',"
                         " hive_partitioning = true)")
    events = f"read_parquet('{catalog}/events/**/*.parquet', hive_partitioning = false)"
    total = one(f"select count(*) from {events}")[0]
    print(f"\n{total} events; counts: {one('select count(*) from counts')[0]} cells; latency: "
          f"{one('select count(*) from latency')[0]} cells\n")
    print("| cells of counts | cells | events a cell |\n|---|---:|---:|")

    def show(name, cells):
        print(f"| {name} | {cells} | {total / cells:.1f} |", flush=True)

    def cells(time, dropped=()):
        kept = [column for column in DIMENSIONS + OUTCOMES if column not in dropped]
        return one(f"select count(*) from (select distinct {TIMES[time]}, {', '.join(kept)} from counts)")[0]

    for time in TIMES:
        show(time, cells(time))
    for time in TIMES:
        show(f"{time}, without the domain", cells(time, ["recipient_domain"]))
    for time in ["quarter", "hour"]:
        show(f"{time}, without job and user", cells(time, ["job_id", "user_id"]))
    show("quarter, without the sender's domain", cells("quarter", ["sender_domain"]))
    for time in TIMES:
        show(f"{time}, without status, code and category",
             cells(time, ["smtp_status", "smtp_code", "bounce_category"]))
    columns = ", ".join(column for column in DIMENSIONS + OUTCOMES if column != "shadow")
    latency = f"""case when kind in ('delivered', 'deferred') then
        case when delivery_latency_ms <= 0 then -1 else ceil(ln(delivery_latency_ms) / {LOG_GAMMA}) end end"""
    raw = {"quarter": "time_bucket(interval 15 minute, event_time)", "hour": "date_trunc('hour', event_time)",
           "day": "date"}
    for time, bucket in raw.items():
        show(f"{time}, with a latency bucket of 1 %",
             one(f"select count(*) from (select distinct {bucket}, {columns}, {latency} from {events})")[0])
    print("\n| cells of latency, by dimension | cells |\n|---|---:|")
    for dimension, n in database.execute("select dimension, count(*) from latency group by 1 order by 2 desc").fetchall():
        print(f"| {dimension or 'all mail'} | {n} |")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""How long the tabs of the screen take: all questions of one tab together, in a new process with a warm page cache and
again, over several ranges and filters, beside DuckDB counting the same rows of the same Parquet."""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import common

TABS = ["Health", "Latency", "Domains", "Risk"]
BY = {"Health": "provider", "Latency": "recipient_domain", "Domains": "recipient_domain", "Risk": "job_id"}
COUNTS = """count(*) filter (kind = 'delivered'), count(*) filter (kind = 'bounced'), count(*) filter (kind = 'deferred'),
    quantile_disc(delivery_latency_ms, [0.5, 0.9, 0.95, 0.99]) filter (kind = 'delivered')"""


def process(given, catalog, tab, span, runs, filters):
    began = time.perf_counter()
    done = subprocess.run([given.ask_tabs.absolute(), catalog, tab, span, str(runs), *filters], capture_output=True,
                          text=True, env=common.environment(catalog.parent), check=True)
    return json.loads(done.stdout), (time.perf_counter() - began) * 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("catalogs", nargs="+", type=Path)
    parser.add_argument("--ask-tabs", default="target/release/examples/ask_tabs", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--day", help="a day of much mail, as 2026-11-05", required=True)
    parser.add_argument("--filters", nargs="*", default=[], help="filters of one more row a tab, as vmta=v1 provider=Google")
    parser.add_argument("--no-duckdb", action="store_true")
    given = parser.parse_args()
    print(common.machine())
    print("\n| catalog | range | tab | first p50 / p95 ms | warm p50 / p95 ms | peak RSS MiB | DuckDB ms |\n|---|---|---|---:|---:|---:|---:|")
    scopes = [("all", []), (f"{given.day}T00:07:13..", []), (f"{given.day}T10:07:13..{given.day}T22:41:09", [])]
    if given.filters:
        scopes.append(("all", given.filters))
    for catalog in given.catalogs:
        database = None
        if not given.no_duckdb:
            import duckdb

            database = duckdb.connect(config={"threads": 2})
            database.execute(f"create view events as select * from read_parquet('{catalog}/events/date=*/**/*.parquet', hive_partitioning = false)")
        for span, filters in scopes:
            for tab in TABS:
                first, warm, peak = [], [], 0
                for _ in range(given.runs):
                    found, _ = process(given, catalog.absolute(), tab, span, 3, filters)
                    first.append(found["first_ms"])
                    warm.extend(found["warm_ms"])
                    peak = max(peak, found["peak_mib"])
                theirs = "–"
                if database and span == "all" and not filters:
                    began = time.perf_counter()
                    database.execute(f"create or replace temp table answer as select {BY[tab]}, {COUNTS} from events group by 1")
                    theirs = f"{(time.perf_counter() - began) * 1000:.0f}"
                pair = lambda values: f"{common.median(values):.0f} / {common.percentile(values, 95):.0f}"
                print(f"| {catalog.parent.name} | {span} {' '.join(filters)} | {tab} | {pair(first)} | {pair(warm)} | {peak} | {theirs} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())

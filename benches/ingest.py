#!/usr/bin/env python3
"""Taking in one file, everything included (hash, decode, merge, rollups, Parquet, fsync), beside DuckDB's read_csv →
typed Parquet (zstd) of the same file. Both run by turns; the figure is the median of the ratios."""

import shutil
import sys
import time
from pathlib import Path

import common

# Column types are DuckDB's own finding: timestamps and numbers are typed, the rest is text.
COPY = "copy (select * from read_csv('{file}')) to '{to}' (format parquet, compression zstd)"


def duckdb_alone(file, to):
    """In a process of its own, for its peak memory; only the statement is timed."""
    import duckdb

    database = duckdb.connect(config={"threads": 2})
    began = time.perf_counter()
    database.execute(COPY.format(file=file, to=to))
    print(time.perf_counter() - began)


def enlarged(file, work, megabytes=60):
    """The rows of a small file over and over, with other addresses each time."""
    header, body = file.read_bytes().split(b"\n", 1)
    out = work / file.name.replace(".csv", "-large.csv")
    with open(out, "wb") as large:
        large.write(header + b"\n")
        for number in range(max(1, megabytes * 1_000_000 // max(1, len(body)))):
            large.write(body.replace(b"@", b"+%d@" % number))
    return out


def compare(given, work, file):
    megabytes = file.stat().st_size / 1e6
    catalog, parquet = work / "catalog-ingest", work / "duckdb.parquet"
    rows = []
    for _ in range(given.runs):
        shutil.rmtree(catalog, ignore_errors=True)
        parquet.unlink(missing_ok=True)
        theirs = common.measured([sys.executable, __file__, "--duckdb-alone", file, parquet], work, output=True)
        ours = common.measured([given.pmtop.absolute(), "--catalog", catalog, "ingest", file], work)
        if ours["failed"] or theirs["failed"]:
            return
        rows.append((ours, theirs, float(theirs["out"])))
    size = sum(path.stat().st_size for path in (catalog / "events").rglob("*.parquet")) / 1e6
    total = sum(path.stat().st_size for path in catalog.rglob("*") if path.is_file()) / 1e6
    ours = common.median([row[0]["s"] for row in rows])
    theirs = common.median([row[2] for row in rows])
    print(f"| {file.name} | {megabytes:.1f} | {megabytes / ours:.0f} | {megabytes / theirs:.0f} | "
          f"{common.median([row[2] / row[0]['s'] for row in rows]):.2f} | "
          f"{common.median([row[0]['cpu'] for row in rows]):.2f} / {common.median([row[1]['cpu'] for row in rows]):.2f} | "
          f"{common.median([row[0]['rss'] for row in rows]):.0f} / {common.median([row[1]['rss'] for row in rows]):.0f} | "
          f"{size:.1f} ({total:.1f}) / {parquet.stat().st_size / 1e6:.1f} |", flush=True)
    shutil.rmtree(catalog, ignore_errors=True)
    parquet.unlink(missing_ok=True)


def main():
    if sys.argv[1:2] == ["--duckdb-alone"]:
        return duckdb_alone(*sys.argv[2:4])
    given = common.options(__doc__, messages=200_000, days=1).parse_args()
    work, kept = common.folder(given.work)
    folder = common.logs(given, work)
    print(f"{common.machine()}; {given.runs} runs by turns, medians\n")
    print("| file | MB | pmtop MB/s | DuckDB MB/s | ratio | CPU s | peak RSS MiB | Parquet MB (whole catalog) |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for family in ["acct", "tran", "bounce", "fbl", "rb"]:
        file = max(folder.glob(f"{family}-*"), key=lambda path: path.stat().st_size)
        compare(given, work, file)
        if family in ["tran", "fbl"]:
            large = enlarged(file, work)
            compare(given, work, large)
            large.unlink()
    del kept


if __name__ == "__main__":
    main()

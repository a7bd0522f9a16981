#!/usr/bin/env python3
"""What other programs read of a catalog: after every step of taking files in, the rows of each partition as pmtop
counts them, as delta-rs reads the Delta Lake tables, as DuckDB reads the files that the logs name, and, with
--chdb, as ClickHouse reads the tables. Needs Python 3.9 and `deltalake` and `duckdb` (and `chdb`).

    python tests/oracle/readers.py --pmtop target/release/pmtop --generate target/release/examples/generate_logs
"""

import argparse
import csv
import datetime
import gzip
import io
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
from deltalake import DeltaTable

TABLES = ["events", "copies"]
# A row without a time: its partition has no date.
NO_TIME = "type,timeLogged,timeQueued,orig,rcpt\nd,,,a@example.com,b@example.org\nd,,,a@example.com,c@example.org\n"


class Differences(Exception):
    pass


def pmtop(args, *words):
    run = subprocess.run([args.pmtop, "--catalog", args.catalog, *words], capture_output=True, text=True, env=args.env)
    if run.returncode != 0:
        raise SystemExit(f"pmtop {' '.join(map(str, words))}: exit {run.returncode}\n{run.stderr}")
    return run.stdout


def day(value):
    return None if value in (None, "") else str(value)


def by_pmtop(args, table):
    text = pmtop(args, "sql", f"select date, event_type, count(*) n from {table} group by 1, 2", "--format", "csv")
    return {(day(row["date"]), row["event_type"]): int(row["n"]) for row in csv.DictReader(io.StringIO(text))}


def by_delta_rs(table):
    rows = DeltaTable(str(table)).to_pyarrow_dataset().to_table(columns=["date", "event_type"])
    counts = {}
    for date, role in zip(rows["date"].to_pylist(), rows["event_type"].to_pylist()):
        counts[(day(date), role)] = counts.get((day(date), role), 0) + 1
    return counts


def by_duckdb(table, files):
    if not files:
        return {}
    # Without the folders' names: date and event_type are also columns of the files.
    relation = duckdb.sql(
        "select date, event_type, count(*) from read_parquet($files, hive_partitioning = false) group by 1, 2",
        params={"files": files},
    )
    return {(day(date), role): n for date, role, n in relation.fetchall()}


def by_clickhouse(table, files):
    import chdb

    if not files:
        return {}
    text = chdb.query(
        f"select toString(date) d, event_type, count() from deltaLakeLocal('{table}') group by 1, 2", "CSV"
    ).bytes().decode()
    rows = csv.reader(io.StringIO(text))
    return {(None if date == "\\N" else date, role): int(n) for date, role, n in rows}


def statistics(table):
    """The bounds in the log hold for the rows of each file, and its number of rows is right."""
    actions = DeltaTable(str(table)).get_add_actions(flatten=True)
    rows = actions.to_struct_array().to_pylist() if hasattr(actions, "to_struct_array") else actions.to_pylist()
    for row in rows:
        path = str(table / row["path"])
        ((n, low, high),) = duckdb.sql(
            "select count(*), epoch_us(min(event_time)), epoch_us(max(event_time)) from read_parquet($file, hive_partitioning = false)",
            params={"file": path},
        ).fetchall()
        if n != row["num_records"]:
            raise Differences(f"{path}: {row['num_records']} rows in the log, {n} in the file")
        if os.path.getsize(path) != row["size_bytes"]:
            raise Differences(f"{path}: another size than in the log")
        bounds = [row.get("min.event_time"), row.get("max.event_time")]
        if low is not None and not (micros(bounds[0]) <= low and high <= micros(bounds[1])):
            raise Differences(f"{path}: event_time {low} to {high} is not within {bounds}")


def micros(time):
    if isinstance(time, str):
        time = datetime.datetime.fromisoformat(time.replace("Z", "+00:00"))
    time = time if time.tzinfo else time.replace(tzinfo=datetime.timezone.utc)
    return (time - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)) // datetime.timedelta(microseconds=1)


def compare(args, step):
    for name in TABLES:
        table = Path(args.catalog) / name
        want = by_pmtop(args, name)
        delta = DeltaTable(str(table))
        files = [uri.removeprefix("file://") for uri in delta.file_uris()]
        got = {"delta-rs": by_delta_rs(table), "DuckDB": by_duckdb(table, files)}
        if args.chdb:
            got["ClickHouse"] = by_clickhouse(table, files)
        for reader, counts in got.items():
            if counts != want:
                only = {key: (want.get(key), counts.get(key)) for key in want.keys() | counts.keys()}
                only = {key: pair for key, pair in only.items() if pair[0] != pair[1]}
                raise Differences(f"{step}, {name}: {reader} differs (partition: pmtop, {reader}): {only}")
        print(f"ok   {step}: {name} version {delta.version()}, {sum(want.values())} rows in {len(want)} partitions, "
              f"{len(files)} files, {', '.join(got)}", flush=True)


def from_checkpoint(args):
    """A reader that starts from the newest checkpoint sees what one sees that reads the whole log."""
    for name in TABLES:
        table = Path(args.catalog) / name
        checkpoints = sorted((table / "_delta_log").glob("*.checkpoint.parquet"))
        if not checkpoints:
            if name == "events":
                raise Differences("no checkpoint of events")
            continue
        copy = Path(args.work) / f"from-checkpoint-{name}"
        shutil.copytree(table, copy)
        version = int(checkpoints[-1].name.split(".")[0])
        for entry in (copy / "_delta_log").glob("*.json"):
            if int(entry.stem) < version:
                entry.unlink()
        for checkpoint in checkpoints[:-1]:
            (copy / "_delta_log" / checkpoint.name).unlink()
        if by_delta_rs(copy) != by_pmtop(args, name):
            raise Differences(f"{name}: the checkpoint of version {version} does not lead to the rows there are")
        if args.chdb and by_clickhouse(copy, [1]) != by_pmtop(args, name):
            raise Differences(f"{name}: ClickHouse reads other rows from the checkpoint of version {version}")
        print(f"ok   {name}: read from the checkpoint of version {version}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pmtop", required=True, type=os.path.abspath)
    parser.add_argument("--generate", required=True, type=os.path.abspath)
    parser.add_argument("--chdb", action="store_true", help="also ClickHouse, through the package chdb (150 MB)")
    parser.add_argument("--messages", type=int, default=4000)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    work = tempfile.mkdtemp(prefix="pmtop-readers-")
    args.work, args.catalog = work, os.path.join(work, "catalog")
    # ClickHouse reads local files below the current folder only.
    os.chdir(work)
    args.env = {**os.environ, "HOME": work, "XDG_CONFIG_HOME": work}
    try:
        logs = Path(work) / "logs"
        subprocess.run(
            [args.generate, "--dir", logs, "--messages", str(args.messages), "--days", "2", "--seed", str(args.seed),
             "--max-file-rows", str(args.messages // 16), "--overlap", "40"], check=True, stdout=subprocess.DEVNULL)
        (logs / "no-time.csv").write_text(NO_TIME)
        files = sorted(path for path in logs.rglob("*") if path.is_file())
        # In another order than they were written: later files then change what earlier ones count.
        random.Random(args.seed).shuffle(files)
        compare(args, "an empty catalog")
        size = -(-len(files) // args.steps)
        for step in range(args.steps):
            part = files[step * size:(step + 1) * size]
            if part:
                # Together in one commit, then one by one: a checkpoint comes with every 50th version.
                for files_at_once in [part] if step == 0 else [[file] for file in part]:
                    pmtop(args, "ingest", *files_at_once)
                compare(args, f"{min((step + 1) * size, len(files))} of {len(files)} files")
        again = Path(work) / "again.csv.gz"
        again.write_bytes(gzip.compress(files[0].read_bytes()))
        pmtop(args, "ingest", again)
        compare(args, "a file that came again")
        for name in TABLES:
            statistics(Path(args.catalog) / name)
        print("ok   sizes and statistics in the logs", flush=True)
        from_checkpoint(args)
    except Differences as difference:
        print(f"FAIL {difference}")
        return 1
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

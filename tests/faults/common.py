"""What the fault tests share: arguments, generated logs, copies of files, and two independent checks of a catalog."""

import argparse
import gzip
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import duckdb

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "oracle"))
from check import COUNTS, MEANINGS, Pmtop, differences, flat  # noqa: E402

# What makes a generated row recognisable in every file that holds it.
CSV_KEY = ["type", "timeLogged", "timeQueued", "rcpt", "envId", "queue"]


class Problems(list):
    """Violations; the first few are printed at once."""

    def add(self, text):
        self.append(text)
        if len(self) <= 20:
            print(f"VIOLATION {text}", flush=True)


def arguments(description, **sizes):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--pmtop", required=True)
    parser.add_argument("--generate", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="leave the scratch folder")
    parser.add_argument("--dir", help="where the scratch folder goes")
    for name, default in sizes.items():
        if default is False:
            parser.add_argument("--" + name.replace("_", "-"), action="store_true")
            continue
        parser.add_argument("--" + name.replace("_", "-"), type=type(default), default=default)
    got = parser.parse_args()
    got.pmtop, got.generate = str(Path(got.pmtop).resolve()), str(Path(got.generate).resolve())
    return got


def scratch(args):
    return Path(tempfile.mkdtemp(prefix="pmtop-faults-", dir=args.dir))


def finish(args, root, problems, **figures):
    """One line of figures; leaves with 1 if anything was violated."""
    print(" ".join(f"{name}={value}" for name, value in figures.items()), f"violations={len(problems)}", flush=True)
    if args.keep or problems:
        print(f"kept: {root}", flush=True)
    else:
        shutil.rmtree(root)
    sys.exit(1 if problems else 0)


def generate(args, folder, **options):
    command = [args.generate, "--dir", str(folder), "--seed", str(options.pop("seed", args.seed))]
    truth = folder.parent / f"{folder.name}.truth.json"
    command += ["--truth", str(truth)]
    for name, value in options.items():
        command += ["--" + name.replace("_", "-"), str(value)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return sorted(folder.glob("*.csv")), json.loads(truth.read_text())


def disguise(path, folder, how):
    """A copy of a file under another name: plain, gz or zip."""
    copy = folder / f"copy-of-{path.name}"
    if how == "plain":
        shutil.copyfile(path, copy)
    elif how == "gz":
        copy = copy.with_name(copy.name + ".gz")
        with gzip.open(copy, "wb", compresslevel=1) as out:
            out.write(path.read_bytes())
    elif how == "zst":
        copy = copy.with_name(copy.name + ".zst")
        subprocess.run(["zstd", "-q", "-f", str(path), "-o", str(copy)], check=True)
    else:
        copy = copy.with_suffix(".zip")
        with zipfile.ZipFile(copy, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out:
            out.write(path, f"renamed-{path.name}")
    return copy


def disguises():
    return ["plain", "gz", "zip"] + (["zst"] if shutil.which("zstd") else [])


def pmtop(args, catalog):
    home = Path(catalog).parent / "home"
    home.mkdir(exist_ok=True)
    return Pmtop(args.pmtop, catalog, home)


def quiet(program, *args):
    """A process whose output goes nowhere, to be killed."""
    return subprocess.Popen(
        program.command(*args), env=program.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def timed(call):
    began = time.monotonic()
    result = call()
    return time.monotonic() - began, result


def control(catalog, statement):
    connection = sqlite3.connect(f"file:{catalog}/control.db?mode=ro", uri=True, timeout=10)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def live(catalog, tree):
    """Parquet files of `events` or `copies` that the control database says count now."""
    rows = control(catalog, "select path from segments where seq_removed is null")
    return [str(Path(catalog) / path) for (path,) in rows if path.startswith(tree + "/")]


def exactly_once(catalog, contents, problems, where):
    """Compares the multiset of rows in the catalog's Parquet with the CSV files: each row counts as often as in the
    file that holds it most often; what merged stands in `copies`. `contents`: the distinct CSV files."""
    db = duckdb.connect()
    db.execute("set timezone='UTC'; set threads=2")
    sources = []
    for path in contents:
        with open(path, encoding="utf-8") as file:
            columns = file.readline().rstrip("\r\n").split(",")
        cells = []
        for name in CSV_KEY:
            cell = f'"{name}"' if name in columns else "''"
            if name.startswith("time"):
                cell = f"epoch_us(try_cast({cell} as timestamptz))"
            cells.append(f"coalesce({cell}, {-1 if name.startswith('time') else repr('')}) as {name}")
        sources.append(f"select '{path}' as f, {', '.join(cells)} from read_csv('{path}', all_varchar=true, header=true)")
    key = ", ".join(CSV_KEY)
    db.execute(f"create table raw as {' union all by name '.join(sources)}")
    db.execute(
        f"create table want as select {key}, max(n) as n from "
        f"(select f, {key}, count(*) as n from raw group by all) group by all"
    )
    parquet = (
        "select record_type as type, coalesce(epoch_us(event_time), -1) as timeLogged, coalesce(epoch_us(queued_time), -1)"
        " as timeQueued, coalesce(recipient, '') as rcpt, coalesce(env_id, '') as envId, coalesce(queue, '') as queue"
    )
    events, copies = live(catalog, "events"), live(catalog, "copies")
    if not events:
        if contents:
            problems.add(f"{where}: no events at all")
        return 0
    db.execute(f"create table got as select *, count(*) as n from ({parquet} from read_parquet({events}, hive_partitioning=false)) group by all")
    merged = db.execute(f"select count(*) from read_parquet({copies}, hive_partitioning=false)").fetchone()[0] if copies else 0
    lost, doubled = db.execute(
        f"select coalesce(sum(greatest(coalesce(w.n, 0) - coalesce(g.n, 0), 0)), 0),"
        f" coalesce(sum(greatest(coalesce(g.n, 0) - coalesce(w.n, 0), 0)), 0) from want w full join got g using ({key})"
    ).fetchone()
    rows = db.execute("select coalesce(sum(n), 0) from got").fetchone()[0]
    total = db.execute("select count(*) from raw").fetchone()[0]
    if lost or doubled:
        problems.add(f"{where}: {lost} rows lost, {doubled} rows too many (of {rows})")
    if rows + merged != total:
        problems.add(f"{where}: {rows} events and {merged} copies, but the files hold {total} rows")
    return int(rows)


def like_truth(program, truth, problems, where):
    """`report totals` against the generator's truth."""
    got, want = flat(program.totals()), flat(truth["totals"])
    for problem in differences(got, want, COUNTS + MEANINGS):
        problems.add(f"{where}: {problem}")


def orphans(catalog):
    """Parquet files that the control database doesn't know, and files left in staging."""
    known = {path for (path,) in control(catalog, "select path from segments union all select path from rollups")}
    root = Path(catalog)
    left = 0
    for tree in ["events", "copies", "rollups", "keys"]:
        for path in (root / tree).rglob("*.parquet"):
            name = str(path.relative_to(root))
            left += name.removeprefix("keys/") not in known and "_delta_log" not in path.parts
    return left + sum(1 for path in (root / "staging").rglob("*") if path.is_file())

"""What the benchmarks share: generated logs, timed processes, medians, and the machine they ran on."""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def options(about, messages, days):
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--pmtop", default="target/release/pmtop", type=Path)
    parser.add_argument("--generate", default="target/release/examples/generate_logs", type=Path)
    parser.add_argument("--messages", type=int, default=messages, help="messages a day")
    parser.add_argument("--days", type=int, default=days)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--work", type=Path, help="folder that is kept; logs and catalog in it are used again")
    return parser


def folder(chosen):
    """The chosen folder, or a temporary one; keep the second value alive as long as it is needed."""
    if chosen:
        chosen.mkdir(parents=True, exist_ok=True)
        return chosen.absolute(), None
    temporary = tempfile.TemporaryDirectory(prefix="pmtop-bench-")
    return Path(temporary.name), temporary


def logs(given, work, *flags):
    """Generated logs, unless the folder holds some already."""
    target = work / "logs"
    if not target.exists():
        subprocess.run(
            [given.generate.absolute(), "--dir", target, "--truth", work / "truth.json", "--days", str(given.days),
             "--messages", str(given.messages), "--seed", "1", *flags],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return target


def environment(work):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PMTOP_")}
    return {**kept, "HOME": str(work), "XDG_CONFIG_HOME": str(work)}


def measured(command, work, output=False):
    """Runs a command; seconds of wall clock, CPU seconds, peak RSS in MiB and what it printed."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [str(part) for part in command], env=environment(work), text=True, stderr=subprocess.PIPE,
        stdout=subprocess.PIPE if output else subprocess.DEVNULL)
    printed = process.stdout.read() if output else ""
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    failed = os.waitstatus_to_exitcode(status) != 0
    if failed:
        print(f"{' '.join(map(str, command))}: {errors.strip()[:600]}", file=sys.stderr)
    return {"failed": failed, "s": seconds, "cpu": usage.ru_utime + usage.ru_stime, "rss": usage.ru_maxrss / 1024, "out": printed}


def median(values):
    return statistics.median(values)


def percentile(values, percent):
    values = sorted(values)
    return values[-(-percent * len(values) // 100) - 1]


def machine():
    import duckdb

    load = os.getloadavg()[0]
    return (f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, DuckDB {duckdb.__version__} with 2 threads, "
            f"load average at the start {load:.1f}")

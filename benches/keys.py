#!/usr/bin/env python3
"""From a key to the first bytes of its frame, in a pty, while another process takes files in at full speed into the same catalog, or
(`--rules`) while the rules look at all of it for the first time. The catalog is copied first, its Parquet by hard links."""

import argparse
import fcntl
import os
import pty
import select
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path


def read(fd, seconds):
    """Everything that comes until nothing comes for so long; the time of the first byte."""
    first = None
    while select.select([fd], [], [], seconds)[0]:
        try:
            os.read(fd, 1 << 16)
        except OSError:  # the program has ended
            return first
        first = first or time.perf_counter()
    return first


def copied(source, target):
    """Parquet never changes; databases do."""
    return os.link(source, target) if source.endswith(".parquet") else shutil.copy2(source, target)


def have_looked(catalog):
    """Whether the rules have looked at the catalog."""
    try:
        with sqlite3.connect(f"file:{catalog}/incidents.db?mode=ro", uri=True) as database:
            return database.execute("select count(*) from facts where name = 'evaluated'").fetchone()[0] > 0
    except sqlite3.Error:
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("catalog", type=Path)
    parser.add_argument("logs", type=Path, nargs="?", help="a folder of files to be taken in meanwhile")
    parser.add_argument("--rules", action="store_true", help="while the rules look, and no files come in")
    parser.add_argument("--pmtop", default="target/release/pmtop")
    parser.add_argument("--keys", type=int, default=200)
    given = parser.parse_args()
    pmtop = os.path.abspath(given.pmtop)
    with tempfile.TemporaryDirectory() as scratch:
        catalog = Path(scratch) / "catalog"
        shutil.copytree(given.catalog, catalog, copy_function=copied)
        if given.rules:
            for path in catalog.glob("incidents.db*"):
                path.unlink()
        pid, fd = pty.fork()
        if pid == 0:
            environment = {**os.environ, "TERM": "xterm-256color", "XDG_STATE_HOME": scratch}
            os.execvpe(pmtop, [pmtop, "--catalog", str(catalog), "--tab", "domains"], environment)
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
        os.kill(pid, signal.SIGWINCH)
        began = time.perf_counter()
        read(fd, 0.3 if given.rules else 3)
        ingest = None if given.rules else subprocess.Popen([pmtop, "--catalog", catalog, "ingest", given.logs], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.3)
        times = []
        for number in range(given.keys):
            if have_looked(catalog) if given.rules else ingest.poll() is not None:
                break
            read(fd, 0.02)
            pressed = time.perf_counter()
            os.write(fd, b"k" if number % 2 else b"j")
            if select.select([fd], [], [], 2)[0]:
                times.append((time.perf_counter() - pressed) * 1000)
        lasted = time.perf_counter() - began
        over = ingest is None or ingest.poll() is not None
        if ingest:
            ingest.wait()
        os.write(fd, b"q")
        read(fd, 0.5)
        os.waitpid(pid, 0)
    times.sort()
    if len(times) < 20:
        sys.exit("too few keys while files came in: give it more logs")
    at = lambda share: times[min(len(times) - 1, int(share * len(times)))]
    work = f"the rules looked for {lasted:.1f} s" if given.rules else f"ingest {'ended before the last' if over else 'ran all the time'}"
    print(f"{len(times)} keys, {work}: "
          f"p50 {at(0.5):.1f} ms, p95 {at(0.95):.1f} ms, p99 {at(0.99):.1f} ms, max {times[-1]:.1f} ms")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""R8, R12, R13: many files with copies among them; memory over large files; a burst of files into a watched inbox, also
with an inotify queue too short for it."""

import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from common import (
    Problems, arguments, control, disguise, disguises, exactly_once, finish, generate, kill, like_truth, orphans, pmtop,
    quiet, scratch, timed,
)

QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")


def many(args, root, problems):
    """R12: files of which 30 % come again under other names and compressions."""
    chance, folder = random.Random(args.seed), root / "many"
    folder.mkdir()
    files, truth = generate(args, folder / "inbox", messages=args.files * 100, max_file_rows=200, overlap=20)
    copies = [disguise(path, folder / "inbox", chance.choice(disguises())) for path in files if chance.random() < 0.3]
    program = pmtop(args, folder / "catalog")
    seconds, lines = timed(lambda: program.ingest(folder / "inbox"))
    found = sum(1 for line in lines if line["status"] == "duplicate")
    if found != len(copies):
        problems.add(f"{found} duplicates found, {len(copies)} files are copies")
    exactly_once(program.catalog, files, problems, "many files")
    like_truth(program, truth, problems, "many files")
    return f"{len(files)}+{len(copies)}in{seconds:.0f}s"


def resident(process):
    """The highest resident size so far, MiB."""
    try:
        text = Path(f"/proc/{process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", text)[1]) / 1024
    except (OSError, TypeError):
        return 0.0


def memory(args, root, problems):
    """R8: one process over large files, each with rows of its own."""
    folder = root / "memory"
    folder.mkdir()
    messages = args.megabytes * 1_050_000 // 820
    paths = []
    for number in range(args.large):
        logs = folder / f"logs-{number}"
        made, _ = generate(args, logs, messages=messages, seed=args.seed + 100 + number)
        paths += [path for path in made if path.name.startswith("acct")]
        for path in made:
            if path not in paths:
                path.unlink()
    program = pmtop(args, folder / "catalog")
    process = quiet(program, "ingest", *paths)
    marks, done = [], 0
    while process.poll() is None:
        peak = resident(process) or (marks[-1] if marks else 0.0)
        try:
            now = control(program.catalog, "select count(*) from files where status = 'done'")[0][0]
        except Exception:
            now = 0
        if now > done:
            marks += [peak] * (now - done)
            done = now
        elif marks:
            marks[-1] = max(marks[-1], peak)
        time.sleep(0.05)
    if process.returncode:
        problems.add(f"large files: exit code {process.returncode}")
    peak = max(marks, default=0.0)
    if peak > 512:
        problems.add(f"memory: {peak:.0f} MiB resident")
    # The slope of the second half: the first files warm caches.
    half = marks[len(marks) // 2 :]
    slope = (half[-1] - half[0]) / max(1, len(half) - 1) if half else 0.0
    if slope > 5 and len(paths) >= 10:
        problems.add(f"memory grows by {slope:.1f} MiB a file")
    size = sum(path.stat().st_size for path in paths) / 1e6
    shutil.rmtree(folder)
    return f"{len(paths)}files/{size:.0f}MB/peak{peak:.0f}MiB/slope{slope:.1f}"


def burst(args, root, problems, queue):
    """R13: small files, written as fast as possible into a watched inbox; each is in the file table in time."""
    folder = root / f"burst-{queue}"
    (folder / "inbox").mkdir(parents=True)
    program = pmtop(args, folder / "catalog")
    header = "type,timeLogged,timeQueued,orig,rcpt,dsnStatus,jobId,queue\n"
    before = QUEUE.read_text() if queue else None
    try:
        if queue:
            QUEUE.write_text(str(queue))
        process = subprocess.Popen(
            program.command("watch", "--inbox", folder / "inbox"), env=program.env,
            stdout=subprocess.DEVNULL, stderr=(folder / "watch.log").open("w"),
        )
        time.sleep(1.5)
        if queue:
            process.send_signal(19)  # stopped, it can't empty the queue: it overflows for sure
        for number in range(args.burst):
            # Whole under its own name at once, as PowerMTA's rotation does it.
            part = folder / "part"
            part.write_text(f"{header}d,2026-11-20 10:00:00+0000,2026-11-20 09:59:58+0000,a@b.example,u{number}@c.example,2.0.0,j-1,c.example/v1\n")
            os.rename(part, folder / "inbox" / f"acct-{number:05}.csv")
        if queue:
            process.send_signal(18)
        began, found, done = time.monotonic(), None, 0
        while time.monotonic() - began < args.patience:
            try:
                found_now = control(program.catalog, "select count(*), sum(status = 'done') from files")[0]
            except Exception:
                found_now = (0, 0)
            done = found_now[1] or 0
            if found is None and found_now[0] >= args.burst:
                found = time.monotonic() - began
            if done >= args.burst:
                break
            time.sleep(0.1)
        ended = time.monotonic() - began
        if process.poll() is not None:
            problems.add(f"burst (queue {queue}): watch ended with {process.returncode}")
        kill(process)
    finally:
        if before:
            QUEUE.write_text(before)
    if found is None or found > 35:
        problems.add(f"burst (queue {queue}): found {found_now[0]} of {args.burst} after {ended:.0f} s, {done} done")
    elif done >= args.burst and program.count("select count(*) from events") != args.burst:
        problems.add(f"burst (queue {queue}): not each row once")
    return f"found{found and round(found, 1)}s/done{done}in{ended:.0f}s"


def main():
    args = arguments(__doc__, files=700, large=20, megabytes=200, burst=5000, patience=60, only="")
    problems, root = Problems(), scratch(args)
    figures = {}
    wanted = args.only.split(",") if args.only else ["many", "memory", "burst"]
    if "many" in wanted and args.files:
        figures["many"] = many(args, root, problems)
    if "memory" in wanted and args.large:
        figures["memory"] = memory(args, root, problems)
    if "burst" in wanted and args.burst:
        figures["burst"] = burst(args, root, problems, None)
        if os.access(QUEUE, os.W_OK):
            figures["burst_queue_16"] = burst(args, root, problems, 16)
        else:
            figures["burst_queue_16"] = "skipped(not writable)"
    finish(args, root, problems, **figures)


if __name__ == "__main__":
    sys.exit(main())

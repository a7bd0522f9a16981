#!/usr/bin/env python3
"""R2, R3: a fault at the k-th write, fsync, rename (link, mkdir), ftruncate and open-for-write of an operation, for every
k: ENOSPC and EDQUOT once and from then on, EIO, SIGKILL. Earlier data stays readable, the next run is exactly once.

Operations: `ingest` takes three files in, of which one makes older segments be written anew; `burst` takes in two batches of files
that become visible together; `join` does so in a catalog
whose small segments and rollups are joined at its end; `grow` brings the whole of a file whose beginning is there; `remove`
takes a file out that had shadowed another's rows."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common import Problems, arguments, exactly_once, finish, generate, pmtop, scratch, timed

FAULTS = [
    ("write", "ENOSPC", False), ("write", "ENOSPC", True), ("write", "KILL", False), ("sync", "EIO", False),
    ("sync", "KILL", False), ("rename", "EIO", False), ("rename", "KILL", False), ("truncate", "EIO", False),
    ("truncate", "KILL", False), ("open", "ENOSPC", False), ("open", "KILL", False),
    ("write", "EDQUOT", False), ("write", "EDQUOT", True), ("truncate", "EDQUOT", False), ("open", "EDQUOT", False),
]


def main():
    args = arguments(__doc__, every=1, messages=600, jobs=2, no_disk=False, operation="ingest", limit=2.0, only="")
    problems, root = Problems(), scratch(args)
    shim = root / "fault.so"
    source = Path(__file__).with_name("fault.c")
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)
    files, _ = generate(args, root / "logs", messages=args.messages, max_file_rows=args.messages // 2, overlap=100)
    acct = [path for path in files if path.name.startswith("acct")]
    bounce = [path for path in files if path.name.startswith("bounce")]
    # The bounce file first: the acct files rank before it, so its segments are written anew.
    earlier, three, gone = [acct[0]], bounce[:1] + acct[1:3], None
    if args.operation == "join":
        files, _ = generate(args, root / "more", messages=args.messages, max_file_rows=args.messages // 8, overlap=10)
        acct = [path for path in files if path.name.startswith("acct")]
        earlier, three = acct[:3], acct[3:7]
    elif args.operation == "remove":
        earlier, three, gone = bounce[:1] + acct[:2], [], acct[1]
    elif args.operation == "grow":
        three = acct[1:2]
    elif args.operation == "burst":
        # Two batches of files that become visible together, with rows of each other and of what is there.
        files, _ = generate(args, root / "more", messages=args.messages, max_file_rows=args.messages // 16, overlap=10)
        few = [path for path in files if path.name.startswith(("acct", "bounce"))]
        earlier, three = few[::7], [path for index, path in enumerate(few) if index % 7]
    base = root / "base"
    base.mkdir()
    pmtop(args, base / "catalog").ingest(*earlier)
    if args.operation == "grow":
        part = root / "part" / three[0].name
        part.parent.mkdir()
        lines = three[0].read_bytes().splitlines(keepends=True)
        part.write_bytes(b"".join(lines[: len(lines) // 2]))
        pmtop(args, base / "catalog").ingest(part)
    before = pmtop(args, base / "catalog").count("select count(*) from events")
    command = ["files", "remove", gone.name] if gone else ["ingest", *three]
    held = [path for path in earlier + three if path != gone]

    def faulty(program, **settings):
        env = {**program.env, "LD_PRELOAD": str(shim), **{k: str(v) for k, v in settings.items()}}
        return subprocess.run(
            program.command(*command), env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            timeout=60, check=False,
        )

    shutil.copytree(base, root / "count")
    faulty(pmtop(args, root / "count" / "catalog"), FAULT_COUNT=root / "count.txt")
    calls = {line.split()[0]: int(line.split()[1]) for line in (root / "count.txt").read_text().splitlines()}
    whole = exactly_once(root / "count" / "catalog", held, problems, "without a fault")
    faults = [fault for fault in FAULTS if not args.only or fault[1] in args.only.split(",")]
    cases = [(*fault, k) for fault in faults for k in range(1, calls[fault[0]] + 1, args.every)]
    recoveries, silent = [], []

    def case(number):
        kind, what, on, k = cases[number]
        where = f"{kind} {k} {what}{' and later' if on else ''}"
        folder = root / f"case-{number}"
        shutil.copytree(base, folder)
        program = pmtop(args, folder / "catalog")
        found = Problems()
        try:
            done = faulty(program, FAULT_KIND=kind, FAULT_AT=k, FAULT_DO=what, **({"FAULT_ON": 1} if on else {}))
            if "panicked" in done.stderr:
                found.add(f"{where}: panic: {done.stderr[-300:]}")
            if what == "KILL" and done.returncode == 0:
                silent.append(where)
            seconds, rows = timed(lambda: program.count("select count(*) from events"))
            recoveries.append(seconds)
            if rows < min(before, whole) or rows > max(before, whole) or (gone and rows not in (before, whole)):
                found.add(f"{where}: {rows} events readable after the fault, {before} before")
            if done.returncode == 0 and what != "KILL" and rows != whole:
                found.add(f"{where}: exit 0, but {rows} events instead of {whole}")
            if gone:
                seconds, _ = timed(lambda: subprocess.run(
                    program.command(*command), env=program.env, capture_output=True, timeout=60, check=False))
                lines = []
            else:
                seconds, lines = timed(lambda: program.ingest(*three, ok=(0, 1)))
            recoveries.append(seconds)
            for line in lines:
                if line["status"] not in ("done", "duplicate"):
                    found.add(f"{where}: next run: {line['name']} {line['status']}: {line['error']}")
            exactly_once(program.catalog, held, found, where)
        except Exception as error:  # a test that goes on, and says so
            found.add(f"{where}: {type(error).__name__}: {str(error)[-600:]}")
        problems.extend(found)
        if not found:
            shutil.rmtree(folder)

    with ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(case, range(len(cases))))
    if recoveries and max(recoveries) >= args.limit:
        problems.add(f"recovery took {max(recoveries):.2f} s")
    small = "skipped" if args.no_disk or args.operation != "ingest" else tmpfs(args, root, earlier + three, problems)
    finish(
        args, root, problems, operation=args.operation, cases=len(cases), **{f"{name}_calls": n for name, n in calls.items()}, not_reached=len(silent),
        recovery_max_s=f"{max(recoveries, default=0):.2f}", tmpfs=small,
    )


def tmpfs(args, root, files, problems):
    """A disk of 8 MiB that other data fills to the last 100 KB, and that gets room again."""
    disk = root / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        return "skipped(mount)"
    try:
        program = pmtop(args, disk / "catalog")
        program.ingest(files[0])
        before = program.count("select count(*) from events")
        free = shutil.disk_usage(disk).free
        for spare in [0, 4096, 40960, 102400, 204800]:
            (disk / "ballast").write_bytes(b"x" * max(0, free - spare))
            lines = program.ingest(*files[1:], ok=(0, 1)) if spare > 4096 else []
            if not lines:
                program.run("ingest", *files[1:], ok=(0, 1))
            if program.count("select count(*) from events") < before:
                problems.add(f"tmpfs with {spare} bytes: earlier rows are gone")
            (disk / "ballast").unlink()
        program.ingest(*files)
        exactly_once(program.catalog, files, problems, "tmpfs")
        return "ok"
    except Exception as error:
        problems.add(f"tmpfs: {str(error)[-600:]}")
        return "failed"
    finally:
        subprocess.run(["umount", str(disk)], check=False)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""R4: the power fails. The system calls of real runs (three files taken in together, one that grew and one that merges,
one removed, more taken in and joined) are recorded with strace; then the folder is built as a disk may hold it after a cut
at any of them: writes and truncations of a file since its last fsync are there or not, each for itself, and so are names in
a folder since the folder's last fsync. Each such catalog must open, pass fsck, hold every file that had been reported as
done, and be exactly once after the rest is done again.

Nothing is assumed of the filesystem but that what was fsynced is there; a rename within one folder is whole or not at all.
`control.db-shm` is memory that processes share and is left out, as are locks.
"""

import json
import os
import random
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common import Problems, arguments, control, exactly_once, finish, generate, pmtop, scratch

CALLS = ("openat,open,creat,write,pwrite64,writev,pwritev,fsync,fdatasync,ftruncate,rename,renameat,renameat2,link,linkat,"
         "unlink,unlinkat,mkdir,mkdirat,rmdir,close,dup,fcntl,lseek")
LINE = re.compile(r"^(\d+) +(\w+)\((.*)\) += (-?\d+|\?)")


def text(part):
    """A string as strace -xx prints it, as bytes."""
    found = re.search(r'"((?:\\x[0-9a-f]{2})*)"', part)
    return bytes.fromhex(found[1].replace("\\x", "")) if found else b""


def calls(trace):
    """Finished calls in the order in which they ended."""
    begun = {}
    for line in trace.read_text().splitlines():
        pid = line.split(" ", 1)[0]
        if line.endswith("<unfinished ...>"):
            begun[pid] = line[: -len("<unfinished ...>")].rstrip()
            continue
        resumed = re.match(r"^\d+ +<\.\.\. \w+ resumed>(.*)$", line)
        if resumed:
            line = begun.pop(pid, "") + resumed[1]
        found = LINE.match(line)
        if found:
            yield found[2], found[3], int(found[4]) if found[4] != "?" else -1


class Recorder:
    """System calls as what they do to a folder: operations on numbered files and folders."""

    def __init__(self, root):
        self.root, self.ops, self.count = str(root), [], 0
        self.names = {self.root: self.number()}  # path -> file or folder, as the running system sees it
        self.fds = {}

    def number(self):
        self.count += 1
        return self.count

    def inside(self, path):
        # Locks hold nothing, and shared memory is gone.
        return path.startswith(self.root + "/") and not path.endswith("-shm")

    def entry(self, path):
        folder, name = os.path.split(path)
        return self.names.get(folder), name

    def path(self, args, at, named):
        """The path of the n-th string, below the folder that the descriptor before it stands for."""
        parts = args.split(", ")
        name = text(parts[named]).decode()
        if name.startswith("/") or at is None:
            return os.path.normpath(name)
        folder = self.fds.get(parts[at].split("<")[0])
        return os.path.normpath(os.path.join(folder["path"], name)) if folder else name

    def new_program(self):
        self.fds = {}

    def take(self, name, args, result):
        if name in ("openat", "open", "creat") and result >= 0:
            path = self.path(args, 0 if name == "openat" else None, 1 if name == "openat" else 0)
            if self.inside(path) and path not in self.names and "O_CREAT" in args:
                self.names[path] = self.number()
                self.ops.append(("name", *self.entry(path), self.names[path], "file"))
            if "O_TRUNC" in args and path in self.names:
                self.ops.append(("truncate", self.names[path], 0))
            self.fds[str(result)] = {"path": path, "number": self.names.get(path), "at": 0}
        elif name in ("dup", "fcntl") and result >= 0 and ("F_DUPFD" in args or name == "dup"):
            known = self.fds.get(args.split(",")[0])
            if known:
                self.fds[str(result)] = known
        elif name == "close":
            self.fds.pop(args, None)
        elif name == "write" and args.startswith("1,") and result > 0:
            self.ops.append(("said", text(args).decode(errors="replace")))
        elif name in ("mkdir", "mkdirat") and result == 0:
            path = self.path(args, 0 if name == "mkdirat" else None, 1 if name == "mkdirat" else 0)
            if self.inside(path):
                self.names[path] = self.number()
                self.ops.append(("name", *self.entry(path), self.names[path], "folder"))
        elif name in ("rename", "renameat", "renameat2", "link", "linkat") and result == 0:
            at = [0, 2] if name in ("renameat", "renameat2", "linkat") else [None, None]
            named = [1, 3] if at[0] == 0 else [0, 1]
            old, new = (self.path(args, at[n], named[n]) for n in (0, 1))
            if not self.inside(old) and not self.inside(new):
                return
            number = self.names.get(old)
            self.ops.append(("name", *self.entry(new), number, "file"))
            self.names[new] = number
            if name.startswith("rename"):
                same = os.path.dirname(old) == os.path.dirname(new)
                self.ops.append(("unname", *self.entry(old), "same" if same else "other"))
                del self.names[old]
        elif name in ("unlink", "unlinkat", "rmdir") and result == 0:
            path = self.path(args, 0 if name == "unlinkat" else None, 1 if name == "unlinkat" else 0)
            if path in self.names:
                self.ops.append(("unname", *self.entry(path), "other"))
                del self.names[path]
        else:
            known = self.fds.get(args.split(",")[0])
            if not known or known["number"] is None or result < 0:
                return
            number = known["number"]
            if name == "write":
                self.ops.append(("write", number, known["at"], text(args)[:result]))
                known["at"] += result
            elif name == "pwrite64":
                at = int(args.rsplit(", ", 1)[1])
                self.ops.append(("write", number, at, text(args)[:result]))
            elif name in ("writev", "pwritev"):
                raise RuntimeError(f"{name} is not understood")
            elif name == "lseek":
                known["at"] = result
            elif name == "ftruncate":
                self.ops.append(("truncate", number, int(args.rsplit(", ", 1)[1])))
            elif name in ("fsync", "fdatasync"):
                self.ops.append(("sync", number))


def after_cut(ops, cut, chance):
    """What the disk may hold if the power fails before operation `cut`: folders and contents, and what was said."""
    mood = chance.choice(["none", "all", "half", "few", "most", "names only", "contents only"])
    share = {"none": 0.0, "all": 1.0, "half": 0.5, "few": 0.1, "most": 0.9}.get(mood)
    names, data, kinds, said = {}, {}, {}, []
    pending_names, pending_data = {}, {}

    def enter(op):
        if op[0] == "name":
            names.setdefault(op[1], {})[op[2]] = op[3]
        else:
            names.get(op[1], {}).pop(op[2], None)

    def fill(op):
        content = data.setdefault(op[1], bytearray())
        if op[0] == "truncate":
            content[op[2]:] = b"\0" * max(0, op[2] - len(content))
            return
        end = op[2] + len(op[3])
        content.extend(b"\0" * max(0, end - len(content)))
        content[op[2]:end] = op[3]

    for op in ops[:cut]:
        if op[0] == "said":
            said.append(op[1])
        elif op[0] in ("name", "unname"):
            if op[0] == "name":
                kinds[op[3]] = op[4]
            pending_names.setdefault(op[1], []).append(op)
        elif op[0] == "sync":
            for waiting, how in [(pending_names, enter), (pending_data, fill)]:
                for one in waiting.pop(op[1], []):
                    how(one)
        else:
            pending_data.setdefault(op[1], []).append(op)
    for waiting, how, kind in [(pending_names, enter, "names only"), (pending_data, fill, "contents only")]:
        for group in waiting.values():
            held = None
            for op in group:
                keep = (mood == kind) if share is None else chance.random() < share
                # The second half of a rename within a folder shares the fate of the first.
                if op[0] == "unname" and op[3] == "same" and held is not None:
                    keep = held
                held = keep
                if keep:
                    how(op)
    return names, data, kinds, "".join(said), mood


def build(target, names, data, kinds, number):
    target.mkdir(parents=True)
    for name, child in sorted(names.get(number, {}).items()):
        if kinds.get(child) == "folder":
            build(target / name, names, data, kinds, child)
        else:
            (target / name).write_bytes(data.get(child, b""))


def state(names, data, kinds, number):
    children = sorted(names.get(number, {}).items())
    return hash(tuple((name, state(names, data, kinds, child) if kinds.get(child) == "folder" else
                       hash(bytes(data.get(child, b"")))) for name, child in children))


def main():
    args = arguments(__doc__, cases=2000, messages=120, jobs=2)
    problems, root, chance = Problems(), scratch(args), random.Random(args.seed)
    files, _ = generate(args, root / "logs", messages=args.messages, max_file_rows=args.messages // 6, overlap=10)
    acct = [path for path in files if path.name.startswith("acct")][:8]
    bounce = [path for path in files if path.name.startswith("bounce")][:1]
    whole = acct[0]
    grown = root / "grown" / whole.name
    grown.parent.mkdir()
    lines = whole.read_bytes().splitlines(keepends=True)
    half = root / "half" / whole.name
    half.parent.mkdir()
    half.write_bytes(b"".join(lines[: len(lines) // 2]))
    gone = acct[1]
    runs = [["ingest", half, acct[1], acct[2]], ["ingest", whole], ["ingest", *bounce], ["files", "remove", str(gone)],
            ["ingest", *acct[3:5]], ["ingest", acct[5]], ["ingest", *acct[6:]]]
    catalog = root / "recorded" / "catalog"
    program = pmtop(args, catalog) if catalog.parent.mkdir() is None else None
    recorder = Recorder(catalog.parent)
    for number, words in enumerate(runs):
        trace = root / f"trace-{number}"
        subprocess.run(["strace", "-f", "-xx", "-s", "16777216", "-e", f"trace={CALLS}", "-o", trace, *program.command(*words)],
                       env=program.env, check=True, stdout=subprocess.DEVNULL)
        recorder.new_program()
        for call in calls(trace):
            recorder.take(*call)
        recorder.ops.append(("said", f"END {number}\n"))
    ops, held = recorder.ops, [path for path in [*acct, *bounce] if path != gone]
    cases, seen = [], set()
    syncs = [index for index, op in enumerate(ops) if op[0] == "sync"]
    for _ in range(args.cases):
        # Half of the cuts are just before or after something was made durable.
        near = chance.choice(syncs) + chance.randint(0, 2)
        cut = near if chance.random() < 0.5 else chance.randrange(len(ops) + 1)
        cases.append((min(cut, len(ops)), chance.getrandbits(48)))
    figures = {"equal": 0}

    def case(number):
        cut, seed = cases[number]
        names, data, kinds, said, mood = after_cut(ops, cut, random.Random(seed))
        print_of = state(names, data, kinds, 1)
        if (print_of, said) in seen:
            figures["equal"] += 1
            return
        seen.add((print_of, said))
        where = f"case {number}: cut at {cut} of {len(ops)} ({mood}, seed {seed})"
        folder, found = root / f"case-{number}", Problems()
        (root / f"home-{number % args.jobs}").mkdir(exist_ok=True)
        try:
            build(folder, names, data, kinds, 1)
            after = pmtop(args, folder / "catalog")
            table = json.loads(after.run("files", "--format", "json"))
            done = {file["name"] for file in table if file["status"] == "done"}
            for line in said.splitlines():
                if line.startswith("done ") and line.split()[1] not in done and line.split()[1] != gone.name:
                    found.add(f"{where}: {line.split()[1]} was reported as done and is not there")
            faults = fsck(after)
            for fault in faults:
                found.add(f"{where}: {fault['path']}: {fault['problem']}")
            after.run("ingest", *held, ok=(0, 1))
            after.run("files", "remove", gone, ok=(0, 1))
            exactly_once(after.catalog, held, found, where)
            for fault in fsck(after):
                found.add(f"{where}: after the next run: {fault['path']}: {fault['problem']}")
        except Exception as error:
            found.add(f"{where}: {type(error).__name__}: {str(error)[-500:]}")
        problems.extend(found)
        if not found or args.cases > 50 and len(problems) > 20:
            shutil.rmtree(folder, ignore_errors=True)

    with ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(case, range(len(cases))))
    finish(args, root, problems, calls=len(ops), syncs=len(syncs), cases=len(cases), **figures)


def fsck(program):
    answer = subprocess.run(program.command("fsck", "--format", "json"), env=program.env, capture_output=True, text=True, check=False)
    if answer.returncode and not answer.stdout.strip():
        raise RuntimeError(f"fsck: {answer.stderr[-400:]}")
    return json.loads(answer.stdout or "[]")


if __name__ == "__main__":
    sys.exit(main())

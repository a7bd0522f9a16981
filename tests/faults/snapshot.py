#!/usr/bin/env python3
"""R11: queries while files come in. Every answer is a set of whole files, and no file that was seen goes away."""

import sys

from common import Problems, arguments, finish, generate, pmtop, quiet, scratch

# Without overlaps nothing merges, so a file's rows are all there or none is.
PLAIN = "select file_id, count(*) as n from events group by 1"


def main():
    args = arguments(__doc__, samples=1000, files=200, rows=2000)
    problems, root = Problems(), scratch(args)
    files, truth = generate(args, root / "inbox", messages=args.files * args.rows // 2, max_file_rows=args.rows)
    files = [path for path in files if path.name.startswith("acct")]
    sizes = sorted(truth["files"][path.name]["rows"] for path in files)
    samples, during, rounds = 0, 0, 0
    while samples < args.samples and not problems:
        rounds += 1
        program = pmtop(args, root / f"catalog-{rounds}")
        program.ingest(files[0])
        writer = quiet(program, "ingest", *files)
        seen, alive = {}, True
        while alive and samples < args.samples:
            alive = writer.poll() is None
            rows = {row["file_id"]: row["n"] for row in program.json("sql", PLAIN)}
            samples += 1
            during += alive
            for file, n in seen.items():
                if rows.get(file) != n:
                    problems.add(f"sample {samples}: file {file} had {n} rows, now {rows.get(file)}")
            left = list(sizes)
            for file, n in rows.items():
                if n in left:
                    left.remove(n)
                else:
                    problems.add(f"sample {samples}: file {file} with {n} rows is no whole file")
            if samples % 10 == 0:
                delivered = program.totals()
                count = program.count("select count(*) from events where kind = 'delivered'")
                if delivered["delivered"] is not None and delivered["delivered"] > count:
                    problems.add(f"sample {samples}: the report counts {delivered['delivered']}, a later query {count}")
            seen = rows
        writer.wait()
    if not problems:
        finish(args, root, problems, samples=samples, while_writing=during, rounds=rounds, files=len(files))
    finish(args, root, problems, samples=samples, rounds=rounds)


if __name__ == "__main__":
    sys.exit(main())

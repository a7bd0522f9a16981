#!/usr/bin/env python3
"""Every report over random scopes, compared with DuckDB on the raw CSV files: counts equal, percentiles within 1 %.

The SQL is independent of pmtop: which rows are one event, what is delivered, bounced or deferred, and what the filters
let through is said here again, over the cells of the files. What needs the meaning of a reply (classes, providers) is
compared with the generator's truth by check.py, and here with itself: parts add up to the whole.

    python tests/oracle/differential.py --pmtop target/debug/pmtop --generate target/debug/examples/generate_logs
"""

import argparse
import collections
import csv
import datetime
import io
import random
import sys
import tempfile
import time
from pathlib import Path

from check import ROLES, SQL_COUNTS, Checks, Pmtop, Raw, compare_rows, differences, flat, generate, near, rates

NAMES = SQL_COUNTS
BUCKETS = {"minute": "1 minute", "quarter": "15 minute", "hour": "1 hour", "day": "1 day"}
# Flag → the expression over the CSV's events; whether r rows carry it; whether case is ignored.
FIELDS = {
    "domain": ("domain", True, True),
    "job": ("campaign", True, False),
    "user": ("user_name", True, False),
    "sender": ("orig", True, True),
    "sender-domain": ("lower(split_part(orig, '@', -1))", True, True),
    "vmta": ("vmta", True, False),
    "pool": ("pool", True, False),
    "source-ip": ("source_ip", False, False),
    "record-type": ("type", False, True),
    "kind": ("kind", False, True),
    "bounce-category": ("category", False, True),
    "recipient": ("rcpt", True, True),
    "queue": ("queue", False, True),
}
GROUPS = ["domain", "job", "user", "sender", "sender-domain", "vmta", "pool", "source-ip", "record-type", "kind", "queue"]
SENT_KNOWS = {"domain", "job", "user", "sender", "sender-domain", "vmta", "pool", "recipient"}

# What check.py's events do not have: the user and the kind of an event (SPEC 3 and 4).
MORE = """
create or replace table events as select *,
    case when smtp_user <> '' then smtp_user else regexp_extract(campaign, '^[^-_.]+') end as user_name,
    case when type = 'd' then if(dlv in ('', 'smtp'), 'delivered', 'status')
         when type = 'b' then if(category = 'success', 'status', 'bounced')
         when type = 't' then 'deferred' when type = 'tq' then 'queue_error' when type = 'r' then 'received'
         when type = 'f' then if(feedback in ('', 'abuse'), 'complaint', 'status')
         when type = 'rb' then 'remote_bounce' when type = 'rs' then 'status' end as kind
from events
"""
STATUS_PATTERNS = ["5*", "4*", "550", "421", "5.1.1", "4.7.*", "5.7.*"]
SPANS = [0, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 28800, 43200, 86400, 172800]


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def like(expression, value, ignore_case):
    """`*` stands for any text; everything else for itself."""
    if ignore_case:
        expression, value = f"lower({expression})", value.lower()
    if "*" not in value:
        return f"{expression} = {quoted(value)}"
    pattern = value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("*", "%")
    return f"{expression} like {quoted(pattern)} escape '\\'"


def status_is(value):
    if value == "":
        return "(enhanced = '' and code = '')"
    return f"(({like('enhanced', value, False)} and enhanced <> '') or ({like('code', value, False)} and code <> ''))"


class Scope:
    """Flags, the same as SQL, and what decides how `sent` is counted."""

    def __init__(self):
        self.flags, self.parts, self.roles, self.fields = [], [], list(ROLES), set()
        self.since = self.until = None

    @property
    def where(self):
        return " and ".join(self.parts) or "true"

    def __str__(self):
        return " ".join(self.flags) or "everything"


def stamp(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


class Maker:
    """Scopes of a seed."""

    def __init__(self, rng, raw):
        self.rng, self.raw = rng, raw
        raw.db.execute("create or replace table everything as select * from events")
        self.first, self.last = raw.ask("select min(moment), max(moment) from events")[0]
        self.values = {}
        for name, (expression, _, _) in FIELDS.items():
            rows = raw.ask(f"select {expression}, count(*) from events group by 1 order by 2 desc, 1 limit 60")
            self.values[name] = [value for value, _ in rows if value]

    def moment(self):
        seconds = int((self.last - self.first).total_seconds())
        moment = self.first + datetime.timedelta(seconds=self.rng.randrange(-1800, seconds + 1800))
        edge = self.rng.random()
        if edge < 0.15:
            moment = moment.replace(minute=0, second=0)
        elif edge < 0.3:
            moment = moment.replace(minute=moment.minute // 15 * 15, second=0)
        return moment

    def time(self, scope):
        kind = self.rng.random()
        if kind < 0.2:
            return
        since, until = sorted([self.moment(), self.moment()])
        if kind < 0.35:
            until = since + datetime.timedelta(seconds=self.rng.randrange(1, 4000))
        if kind < 0.92:
            scope.since = since
            scope.flags += ["--since", stamp(since)]
            scope.parts.append(f"moment >= timestamp '{stamp(since)}'")
        if kind < 0.35 or kind > 0.45:
            scope.until = until
            scope.flags += ["--until", stamp(until)]
            scope.parts.append(f"moment < timestamp '{stamp(until)}'")

    def pattern(self, name):
        value = self.rng.choice(self.values[name])
        kind = self.rng.random()
        if FIELDS[name][2] and self.rng.random() < 0.3:
            value = value.upper()
        if kind < 0.7 or len(value) < 3:
            return value
        cut = self.rng.randrange(1, len(value))
        return {0: f"{value[:cut]}*", 1: f"*{value[cut:]}", 2: f"*{value[cut // 2:cut]}*"}[self.rng.randrange(3)]

    def field(self, scope):
        name = self.rng.choice([*FIELDS, "status", "type"])
        if name in scope.fields:
            return
        scope.fields.add(name)
        exclude = self.rng.random() < 0.3
        several = self.rng.choice([1, 1, 2, 3])
        if name == "type":
            chosen = self.rng.sample(ROLES, several)
            scope.flags += [flag for role in chosen for flag in ("--type", f"!{role}" if exclude else role)]
            scope.roles = [role for role in ROLES if (role in chosen) != exclude]
            return
        values = [self.rng.choice(STATUS_PATTERNS) if name == "status" else self.pattern(name) for _ in range(several)]
        if self.rng.random() < 0.05:
            values.append("")
        test = status_is if name == "status" else lambda value: like(FIELDS[name][0], value, FIELDS[name][2])
        tests = [test(value) for value in values]
        scope.flags += [flag for value in values for flag in (f"--{name}={'!' if exclude else ''}{value}",)]
        scope.parts.append(f"not ({' or '.join(tests)})" if exclude else f"({' or '.join(tests)})")
        if not exclude and self.rng.random() < 0.2:
            value = self.rng.choice(STATUS_PATTERNS) if name == "status" else self.pattern(name)
            scope.flags.append(f"--{name}=!{value}")
            scope.parts.append(f"not {test(value)}")

    def scope(self):
        scope = Scope()
        self.time(scope)
        for _ in range(self.rng.choice([0, 1, 1, 2, 2, 3])):
            self.field(scope)
        return scope


class Oracle:
    """The SQL's answers."""

    def __init__(self, raw):
        self.raw, self.roles = raw, None

    def at(self, scope):
        if self.roles != scope.roles:
            self.raw.merge(scope.roles)
            self.raw.db.execute(MORE)
            self.roles = scope.roles
            self.days = {}
            types = self.raw.ask("select cast(moment as date), list_distinct(list(type)) from events group by 1")
            self.days = {day: set(kinds) for day, kinds in types}

    def by_received(self, scope, group=None):
        """SPEC 4: r rows on every day that has d or b rows, and every filter and grouping column in them."""
        days = [kinds for day, kinds in self.days.items()
                if (scope.since is None or day >= scope.since.date())
                and (scope.until is None or day <= (scope.until - datetime.timedelta(microseconds=1)).date())]
        fields = [name for name in [*scope.fields, group] if name and name != "type"]
        return (any("r" in kinds for kinds in days) and all("r" in kinds for kinds in days if kinds & {"d", "b"})
                and all(name in SENT_KNOWS for name in fields))

    def groups(self, scope, expression, group=None):
        return self.raw.groups(expression, scope.where, self.by_received(scope, group))

    def ask(self, scope, select, rest=""):
        return self.raw.ask(f"select {select} from events where {scope.where} {rest}")


def bucketed(width):
    return f"strftime(time_bucket(interval {BUCKETS[width]}, moment), '%Y-%m-%dT%H:%M:00Z')"


def without_empty(groups):
    """Rows that count as nothing (statuses alone) are no rows of a report."""
    counted = [*NAMES, "received", "rb_events_file"]
    return {value: row for value, row in groups.items() if any(row.get(name) for name in counted)}


def filled(rows, wanted, dimension, latency=True):
    """Reports without latency or distinct messages are compared by their counts."""
    for row in rows:
        want = wanted.get(row[dimension] or "", {})
        names = [name for name in want if name == "deferred" or name.startswith("latency")]
        row.update({name: want[name] for name in names if latency is False or name == "deferred"})
    return rows


# ------------------------------------------------------------------------------------------------------------ reports


def totals(case):
    got = case.pmtop.totals(*case.scope.flags)
    want = case.oracle.groups(case.scope, "''").get("", {})
    yield from differences(flat(got), want, NAMES)
    yield from rates(flat(got))


def operations(case):
    by, bucket = case.rng.choice([*GROUPS, None]), case.rng.choice([*BUCKETS, None, None])
    flags = [*(["--by", by] if by else []), *(["--bucket", bucket] if bucket else [])]
    case.name = f"operations {' '.join(flags)}"
    rows = case.pmtop.operations(*flags, *case.scope.flags)
    field = FIELDS[by][0] if by else "''"
    key = f"{field} || chr(31) || coalesce({bucketed(bucket)}, '')" if bucket else field
    for row in rows:
        value = (row[by.replace("-", "_")] if by else None) or ""
        row["key"] = f"{value}\x1f{row['bucket'] or ''}" if bucket else value or None
    yield from compare_rows(rows, "key", case.oracle.groups(case.scope, key, by), NAMES)


def grouped(report, by, flags=(), latency=True):
    def run(case):
        rows = case.pmtop.json("report", report, *flags, *case.scope.flags)
        column = by.replace("-", "_")
        want = without_empty(case.oracle.groups(case.scope, FIELDS[by][0], by))
        yield from compare_rows(filled(rows, want, column, latency) if not latency else rows, column, want, NAMES)
        if report in ("domains", "latency"):
            for row in rows:
                parts = sum(value or 0 for name, value in row.items()
                            if name.startswith("rb_events_") and name not in ("rb_events_file", "rb_events_reply"))
                if row["rb_events_reply"] is not None and parts != row["rb_events_reply"]:
                    yield f"{row[column]}: classes add up to {parts}, not {row['rb_events_reply']}"
    return run


def replies(case):
    rows = case.pmtop.json("report", "replies", *case.scope.flags)
    want = case.oracle.ask(case.scope, "count(*), min(moment), max(moment)",
                           "and diag <> '' and kind in ('bounced', 'deferred', 'queue_error', 'remote_bounce')")[0]
    got = sum(row["n"] for row in rows)
    if got != want[0]:
        yield f"rows with a reply: got {got}, want {want[0]}"
    if rows:
        ends = [min(row["first"] for row in rows), max(row["last"] for row in rows)]
        if ends != [stamp(want[1]) + "Z", stamp(want[2]) + "Z"]:
            yield f"first and last: got {ends}, want {want[1:]}"


def categories(case):
    by = case.rng.choice([None, "domain", "vmta", "job"])
    case.name = f"categories --by {by}"
    rows = case.pmtop.json("report", "categories", *(["--by", by] if by else []), *case.scope.flags)
    got = collections.Counter()
    for row in rows:
        got[row["bounce_category"] or "", (row[by] or "") if by else ""] += row["n"]
    field = FIELDS[by][0] if by else "''"
    want = {(category, value): n for category, value, n in case.oracle.ask(
        case.scope, f"category, {field}, count(*)", "and kind = 'bounced' group by all")}
    for key in sorted(set(got) | set(want)):
        if got.get(key, 0) != want.get(key, 0):
            yield f"{key}: got {got.get(key, 0)}, want {want.get(key, 0)}"
    for name, prefix in [("n_4xx", "4"), ("n_5xx", "5")]:
        mine = sum(row[name] for row in rows)
        theirs = case.oracle.ask(case.scope, "count(*)", f"and kind = 'bounced' and enhanced like '{prefix}%'")[0][0]
        if mine != theirs:
            yield f"{name}: got {mine}, want {theirs}"


def heatmap(case):
    by, bucket = case.rng.choice(["domain", "vmta", "source-ip", "job"]), case.rng.choice(list(BUCKETS))
    case.name = f"heatmap --by {by} --bucket {bucket}"
    limit = case.rng.choice([3, 20])
    rows = case.pmtop.json("report", "heatmap", "--by", by, "--bucket", bucket, "--limit", limit, *case.scope.flags)
    field, column = FIELDS[by][0], by.replace("-", "_")
    shown = list(dict.fromkeys(row[column] or "" for row in rows))
    sizes = dict(case.oracle.ask(case.scope, f"{field}, count(*)", "and kind <> 'status' group by 1"))
    greatest = sorted(sizes.values(), reverse=True)[:limit]
    # Statuses count as rows, too; they decide between close values only, so the set is compared where none are there.
    if not case.oracle.ask(case.scope, "count(*)", "and kind = 'status'")[0][0]:
        if [sizes.get(value) for value in shown] != greatest:
            yield f"leading values: got {[sizes.get(value) for value in shown]}, want {greatest}"
    want = case.oracle.groups(case.scope, f"{field} || chr(31) || coalesce({bucketed(bucket)}, '')", by)
    want = {key: row for key, row in without_empty(want).items() if key.split("\x1f")[0] in shown}
    for row in rows:
        row["key"] = f"{row[column] or ''}\x1f{row['bucket'] or ''}"
    yield from compare_rows(filled(rows, want, "key"), "key", want, NAMES)


def coverage(case):
    rows = case.pmtop.json("report", "coverage", *case.scope.flags)
    got = {(row["bucket"], row["event_type"]): (row["rows"], row["quarters"]) for row in rows if row["bucket"]}
    want = collections.defaultdict(lambda: (0, 0))
    if case.one_role:
        hour = "strftime(date_trunc('hour', moment), '%Y-%m-%dT%H:00:00Z')"
        for bucket, n, quarters in case.oracle.ask(
                case.scope, f"{hour}, count(*), count(distinct time_bucket(interval 15 minute, moment))", "group by 1"):
            want[bucket, case.scope.roles[0]] = (n, quarters)
        for key in sorted(set(got) | set(want)):
            if got.get(key, (0, 0)) != want[key]:
                yield f"{key}: got {got.get(key)}, want {want[key]}"
    total = case.oracle.ask(case.scope, "count(*)")[0][0]
    if sum(n for n, _ in got.values()) != total:
        yield f"rows: got {sum(n for n, _ in got.values())}, want {total}"
    hours = sorted({bucket for bucket, _ in got})
    times = [datetime.datetime.fromisoformat(hour.replace("Z", "")) for hour in hours]
    if any(b - a != datetime.timedelta(hours=1) for a, b in zip(times, times[1:])):
        yield "hours are missing in between"


def distribution(case):
    rows = case.pmtop.json("report", "distribution", *case.scope.flags)
    got = {(row["measure"], row["from_ms"]): row["n"] for row in rows}
    for measure, kind in [("delivery", "delivered"), ("attempt", "deferred")]:
        values = [ms for (ms,) in case.oracle.ask(case.scope, "greatest(ms, 0)", f"and kind = '{kind}' and ms is not null")]
        n = sum(count for (of, _), count in got.items() if of == measure)
        if n != len(values):
            yield f"{measure}: got {n} latencies, want {len(values)}"
            continue
        for index, start in enumerate(SPANS if values else []):
            below = sum(count for (of, lower), count in got.items() if of == measure and lower < start * 1000)
            # A value counts at the mean of its bucket, which is within 1 % of it.
            low = sum(ms < start * 1000 * (0.99 if start > 90 else 1) for ms in values)
            high = sum(ms < start * 1000 * (1.01 if start > 90 else 1) for ms in values)
            if not low <= below <= high:
                yield f"{measure} below {start} s: got {below}, want {low} .. {high}"


def percentiles(case):
    rows = case.pmtop.json("report", "percentiles", *case.scope.flags)
    for measure, kind in [("delivery", "delivered"), ("attempt", "deferred")]:
        values = sorted(ms for (ms,) in case.oracle.ask(
            case.scope, "greatest(ms, 0)", f"and kind = '{kind}' and ms is not null"))
        mine = [row for row in rows if row["measure"] == measure]
        if bool(mine) != bool(values):
            yield f"{measure}: {len(mine)} rows for {len(values)} latencies"
        for row in mine if values else []:
            n = -(-round(row["share"] * 100) * len(values) // 100)
            want = [n, values[n - 1], sum(values[:n]) / n]
            if row["n"] != n or not near(row["max_ms"], want[1], 0.01) or not near(row["avg_ms"], want[2], 0.011) and abs(
                    row["avg_ms"] - want[2]) > 0.06:
                yield f"{measure} {row['share']}: got {row['n']}, {row['max_ms']}, {row['avg_ms']}, want {want}"


def busiest(case):
    rows = case.pmtop.json("report", "rates", *case.scope.flags)
    minutes = dict(case.oracle.ask(
        case.scope, "cast(epoch(date_trunc('minute', moment)) as bigint) // 60, count(*)",
        "and kind in ('delivered', 'bounced') group by 1"))
    for span in [1, 5, 60]:
        want = max((sum(minutes.get(at + offset, 0) for offset in range(span)) for at in minutes), default=None)
        got = next((row["n"] for row in rows if row["measure"] == "recipients" and row["minutes"] == span), None)
        if got != want:
            yield f"recipients in {span} minutes: got {got}, want {want}"


def compared(case):
    """What it was, and the change, of a range beside one of equal length."""
    scope = case.scope
    if scope.since is None or scope.until is None or scope.since >= scope.until:
        case.name = "skipped"
        return
    kind = case.rng.choice(["before", "week", "range"])
    shift = {"before": scope.until - scope.since, "week": datetime.timedelta(days=7),
             "range": datetime.timedelta(seconds=case.rng.randrange(1, 90000))}[kind]
    since, until = scope.since - shift, scope.until - shift
    then = Scope()
    then.roles, then.fields, then.since, then.until = scope.roles, scope.fields, since, until
    then.parts = [part for part in scope.parts if not part.startswith("moment ")]
    then.parts += [f"moment >= timestamp '{stamp(since)}'", f"moment < timestamp '{stamp(until)}'"]
    by = case.rng.choice(["domain", "job", "vmta", "source-ip", "sender-domain"])
    case.name = f"operations --by {by} --compare {kind}"
    flag = f"{stamp(since)}..{stamp(until)}" if kind == "range" else kind
    rows = case.pmtop.operations("--by", by, "--compare", flag, *scope.flags)
    column = by.replace("-", "_")
    now, before = (without_empty(case.oracle.groups(one, FIELDS[by][0], by)) for one in (scope, then))
    # A value with nothing but copies of rows that count as nothing (pipe deliveries) has a row for `merged_duplicates`.
    known = set(now) | set(before)
    rows = [row for row in rows
            if (row[column] or "") in known or not (row["merged_duplicates"] or row["merged_duplicates_before"])]
    if sorted(row[column] or "" for row in rows) != sorted(known):
        yield f"values: got {len(rows)}, want {len(set(now) | set(before))}"
    names = ["delivered", "deferrals", "bounced_total", "complaints", "remote_bounces"]
    for row in rows:
        value = row[column] or ""
        for name in names:
            want = [side.get(value, {}).get(name) or 0 for side in (now, before)]
            if [row[name] or 0, row[f"{name}_before"] or 0] != want:
                yield f"{value} {name}: got {row[name]} and {row[f'{name}_before']}, want {want}"
            # n/a on one side is no change.
            if row[f"{name}_change"] is not None and row[f"{name}_change"] != want[0] - want[1]:
                yield f"{value} {name}_change: got {row[f'{name}_change']}, want {want[0] - want[1]}"


def changes(case):
    """Each row's numbers are those of its value, and nothing that stands in it is untrue."""
    scope = case.scope
    if scope.since is None or scope.until is None or scope.since >= scope.until:
        case.name = "skipped"
        return
    length = scope.until - scope.since
    then = Scope()
    then.roles, then.fields, then.since, then.until = scope.roles, scope.fields, scope.since - length, scope.since
    then.parts = [part for part in scope.parts if not part.startswith("moment ")]
    then.parts += [f"moment >= timestamp '{stamp(then.since)}'", f"moment < timestamp '{stamp(then.until)}'"]
    rows = case.pmtop.json("report", "changes", *scope.flags)
    known = {}
    for row in rows:
        field = row["field"].replace("_", "-")
        if field == "provider":
            continue
        if field not in known:
            expression = "''" if field == "all" else FIELDS[field][0]
            known[field] = [case.oracle.groups(one, expression) for one in (scope, then)]
        for name, n, side in [("now", "n", 0), ("before", "n_before", 1)]:
            counts = known[field][side].get(row["value"] or "", {})
            get = lambda key: counts.get(key) or 0
            outcomes = get("delivered") + get("bounced_total")
            want = {
                "volume": (outcomes, outcomes),
                "deferral_rate": (get("deferrals"), get("deferrals") + outcomes),
                "bounce_rate": (get("bounced_total"), outcomes),
            }.get(row["metric"])
            if want is None:
                continue
            rate = want[0] if row["metric"] == "volume" else want[0] / max(want[1], 1)
            if row[n] != want[1] or abs(row[name] - rate) > 1e-9:
                yield f"{row['field']} {row['value']} {row['metric']}: {name} {row[name]} of {row[n]}, want {rate} of {want[1]}"


def events(case):
    text = case.pmtop.run("events", "--format", "csv", "--raw", *case.scope.flags)
    csv.field_size_limit(1 << 24)
    rows = list(csv.DictReader(io.StringIO(text)))
    got = collections.Counter(
        (row["record_type"], row["event_time"], row["recipient"].lower(), row["job_id"], row["vmta"], row["queue"].lower())
        for row in rows)
    want = collections.Counter(
        tuple(cell or "" for cell in row) for row in case.oracle.ask(
            case.scope, "type, strftime(moment, '%Y-%m-%dT%H:%M:%SZ'), lower(rcpt), campaign, vmta, lower(queue)"))
    for row, n in ((got - want) + (want - got)).items():
        yield f"{row}: {got[row]} times, want {want[row]}"
    times = [row["event_time"] for row in rows]
    if times != sorted(times, reverse=True):
        yield "not newest first"


REPORTS = {
    "totals": totals,
    "operations": operations,
    "latency --by vmta": grouped("latency", "vmta", ["--by", "vmta"]),
    "latency": grouped("latency", "domain"),
    "domains": grouped("domains", "domain"),
    "risk": grouped("risk", "job", ["--by", "job"], latency=False),
    "jobs": grouped("jobs", "job"),
    "users": grouped("users", "user"),
    "senders": grouped("senders", "sender"),
    "replies": replies,
    "categories": categories,
    "heatmap": heatmap,
    "coverage": coverage,
    "distribution": distribution,
    "percentiles": percentiles,
    "rates": busiest,
    "changes": changes,
    "compare": compared,
    "events": events,
}


class Case:
    def __init__(self, rng, pmtop, oracle, scope, name):
        self.rng, self.pmtop, self.oracle, self.scope, self.name = rng, pmtop, oracle, scope, name
        self.one_role = len(scope.roles) == 1


def run(options, work):
    checks = Checks(quiet=not options.verbose)
    logs = work / "logs"
    generate(options, logs, work / "truth.json", "--messages", options.messages, "--days", 3, "--overlap", 60,
             "--max-file-rows", options.messages, "--incident", "demo", "--tail-days", 0, seed=options.seed)
    pmtop = Pmtop(options.pmtop.absolute(), work / "catalog", work)
    pmtop.ingest(logs)
    raw = Raw(logs)
    raw.db.execute(MORE)
    rng = random.Random(options.seed)
    maker, oracle = Maker(rng, raw), Oracle(raw)
    names = list(REPORTS)
    began, ran = time.monotonic(), 0
    for number in range(options.cases):
        if options.seconds and time.monotonic() - began > options.seconds:
            break
        # Each report in turn, so that every run has all; the scope is anything.
        name = names[number % len(names)]
        scope = maker.scope()
        state = rng.getstate()
        case = Case(rng, pmtop, oracle, scope, name)
        oracle.at(scope)
        try:
            problems = list(REPORTS[name](case))
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            problems = [f"{type(error).__name__}: {error}"]
        rng.setstate(state)
        rng.random()
        ran += case.name != "skipped"
        checks.report(f"{number}. {case.name}: {scope}", problems)
    print(f"seed {options.seed}: {ran} cases compared in {time.monotonic() - began:.0f} s, {checks.failed} differ", flush=True)
    return 1 if checks.failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--pmtop", required=True, type=Path)
    parser.add_argument("--generate", required=True, type=Path)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seconds", type=int, help="stop after so long, whatever is left")
    parser.add_argument("--messages", type=int, default=4000, help="a day")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbose", action="store_true", help="a line for what agrees, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pmtop-differential-") as folder:
        return run(options, Path(folder))


if __name__ == "__main__":
    sys.exit(main())

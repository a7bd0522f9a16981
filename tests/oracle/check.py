#!/usr/bin/env python3
"""An independent check of the whole program: generated logs go in, and every answer is compared with the generator's
truth and with hand-written SQL over the raw CSV files. Needs Python 3.9 and the `duckdb` package.

    python tests/oracle/check.py --pmtop target/release/pmtop --generate target/release/examples/generate_logs
"""

import argparse
import csv
import gzip
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb

ROLES = ["acct", "tran", "bounce", "fbl", "rb"]
DIMENSIONS = ["domain", "provider", "job", "user", "vmta", "pool", "source-ip"]
PERCENTILES = ["p50_ms", "p90_ms", "p95_ms", "p99_ms"]
# The counts that truth, SQL and reports all know, under the names of the flat reports.
COUNTS = [
    "sent", "delivered", "deferred", "deferrals", "bounced_total", "remote_bounces", "complaints", "queue_errors",
]
# What SQL and reports know.
SQL_COUNTS = [*COUNTS, "rb_events_file", "complaints_unattributed"]
# What only the truth knows, since it needs the meaning of replies.
MEANINGS = ["bounced_hard", "bounced_soft", "bounced_block", "rb_events"]


class Checks:
    """Prints one line a check (quiet: only for those that fail) and counts."""

    def __init__(self, quiet=False):
        self.quiet = quiet
        self.passed = 0
        self.failed = 0

    def report(self, name, problems):
        problems = list(problems)
        if problems:
            self.failed += 1
            print(f"FAIL {name}: {len(problems)} differences", flush=True)
            for problem in problems[:8]:
                print(f"     {problem}", flush=True)
        else:
            self.passed += 1
            if not self.quiet:
                print(f"ok   {name}", flush=True)

    def equal(self, name, got, want):
        self.report(name, [] if got == want else [f"got {got!r}, want {want!r}"])


class Pmtop:
    """The program on one catalog, with no settings but the defaults."""

    def __init__(self, binary, catalog, home):
        self.binary = str(binary)
        self.catalog = str(catalog)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PMTOP_")}
        self.env = {**kept, "XDG_CONFIG_HOME": str(home), "HOME": str(home), "TZ": "America/New_York"}

    def command(self, *args):
        return [self.binary, "--catalog", self.catalog, *map(str, args)]

    def run(self, *args, ok=(0,)):
        done = subprocess.run(self.command(*args), env=self.env, capture_output=True, text=True, check=False)
        if done.returncode not in ok:
            raise RuntimeError(f"{' '.join(map(str, args))}: exit code {done.returncode}\n{done.stderr[-2000:]}")
        return done.stdout

    def start(self, *args):
        return subprocess.Popen(
            self.command(*args), env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def json(self, *args):
        return json.loads(self.run(*args, "--format", "json"))

    def ingest(self, *paths, ok=(0,)):
        return json.loads(self.run("ingest", "--format", "json", *paths, ok=ok))

    def totals(self, *scope):
        return self.json("report", "totals", *scope)

    def operations(self, *args):
        return self.json("report", "operations", *args)

    def count(self, statement):
        rows = self.json("sql", statement)
        return next(iter(rows[0].values()))


# ---------------------------------------------------------------------------------------------------------- comparing


def flat(totals):
    """`report totals`, or a metrics object of the truth, under the names of the flat reports."""
    out = {}
    for key, value in totals.items():
        if key == "latency":
            for measure, numbers in value.items():
                out.update({f"latency_{measure}_{name}": number for name, number in numbers.items()})
        elif key == "bounced":
            out.update({f"bounced_{name}": number for name, number in value.items()})
        else:
            out[key] = value
    return out


def near(got, want, share):
    if got is None or want is None:
        return got is None and want is None
    return abs(got - want) <= share * abs(want) + 1e-9


def differences(got, want, names, where=""):
    """Counts are exact, percentiles within 1 %, means within rounding; null is 0 only where nothing is to count."""
    for name in names:
        if (got.get(name) or 0) != (want.get(name) or 0):
            yield f"{where}{name}: got {got.get(name)}, want {want.get(name)}"
    for measure in ["delivery", "attempt"]:
        n, count = f"latency_{measure}_n", want.get(f"latency_{measure}_n") or 0
        if (got.get(n) or 0) != count:
            yield f"{where}{n}: got {got.get(n)}, want {count}"
        if not count:
            continue
        for name in PERCENTILES:
            name = f"latency_{measure}_{name}"
            if not near(got.get(name), want.get(name), 0.01):
                yield f"{where}{name}: got {got.get(name)}, want {want.get(name)}"
        name = f"latency_{measure}_avg_ms"
        if abs((got.get(name) or 0) - (want.get(name) or 0)) > 0.06:
            yield f"{where}{name}: got {got.get(name)}, want {want.get(name)}"
        if got.get(f"latency_{measure}_max_ms") != want.get(f"latency_{measure}_max_ms"):
            name = f"latency_{measure}_max_ms"
            yield f"{where}{name}: got {got.get(name)}, want {want.get(name)}"


def rates(row, where=""):
    """A rate is its numerator over its denominator."""
    value = lambda name: row.get(name) or 0
    outcomes = value("delivered") + value("bounced_total")
    expected = {
        "delivered_rate": (value("delivered"), outcomes),
        "bounce_rate": (value("bounced_total"), outcomes),
        "hard_rate": (value("bounced_hard"), outcomes),
        "block_rate": (value("bounced_block"), outcomes),
        "deferral_rate": (value("deferrals"), value("deferrals") + outcomes),
    }
    for name, (hits, of) in expected.items():
        if row.get(name) is None:
            continue
        if row.get(f"{name}_of") != of or not of or abs(row[name] - hits / of) > 1e-9:
            yield f"{where}{name}: got {row[name]} of {row.get(f'{name}_of')}, want {hits} / {of}"
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        if not low - 1e-9 <= row[name] <= high + 1e-9 or low < -1e-9 or high > 1 + 1e-9:
            yield f"{where}{name}: {row[name]} is outside its interval {low} .. {high}"
    if value("bounced_hard") + value("bounced_soft") + value("bounced_block") != value("bounced_total"):
        yield f"{where}hard, soft and block do not add up to bounced"


def compare_rows(rows, dimension, wanted, names):
    """Every row of a report by one dimension; the wanted value "" is JSON null, absent rows are all zero."""
    found = {}
    for row in rows:
        value = row[dimension] or ""
        if value in found:
            yield f"{dimension} {value!r}: twice"
        if row[dimension] == "":
            yield f"{dimension}: an empty text instead of null"
        found[value] = row
    for value in sorted(set(found) | set(wanted)):
        where = f"{dimension} {value!r}: "
        yield from differences(found.get(value, {}), wanted.get(value, {}), names, where)
        yield from rates(found.get(value, {}), where)


# -------------------------------------------------------------------------------------------------- SQL over the CSVs

RAW = """
create table raw as
select regexp_extract(filename, '[^/]+$') as file, row_number() over () as number, *
from read_csv('{folder}/*.csv', union_by_name = true, all_varchar = true, header = true, delim = ',', quote = '"',
              escape = '"', filename = true, nullstr = '\x01', strict_mode = true)
"""

# The role of a file by the types in it (SPEC 3).
FILES = """
create table files as
select file, count(*) as rows,
    case when bool_and(type = 'f') then 'fbl'
         when bool_and(type in ('rb', 'rs')) then 'rb'
         when bool_and(type in ('t', 'tq')) then 'tran'
         when bool_and(type = 'b') then 'bounce'
         when bool_and(type in ('d', 'b', 'r')) then 'acct' end as role
from raw group by file
"""

# One row an event: what a file holds n times and another m times counts max(n, m) (SPEC 2.6).
EVENTS = """
create or replace table events as
with cells as (
    select r.file, r.type,
        coalesce(r."timeLogged", '') as logged, coalesce(r."timeQueued", '') as queued, coalesce(r.orig, '') as orig,
        coalesce(r.rcpt, '') as rcpt, coalesce(r."jobId", '') as job, coalesce(r."envId", '') as env,
        coalesce(r."dsnStatus", '') as status, coalesce(r."dsnDiag", '') as diag,
        coalesce(r."dlvSourceIp", '') as source, coalesce(r.queue, '') as queue, coalesce(r."dlvType", '') as dlv,
        coalesce(r."feedbackType", '') as feedback, coalesce(r."bounceCat", '') as category,
        coalesce(r.vmta, '') as vmta, coalesce(r."vmtaPool", '') as pool,
        coalesce(r."rcvSmtpUser", '') as smtp_user, coalesce(r."header_X-job", '') as header_job,
        coalesce(r."header_Message-Id", '') as message_id, r.number
    from raw r join files f using (file) where {roles}
), per_file as (
    select type, logged, queued, orig, rcpt, job, env, status, diag, source, queue, file, count(*) as n,
        max(dlv) as dlv, max(feedback) as feedback, max(category) as category, max(vmta) as vmta, max(pool) as pool,
        max(smtp_user) as smtp_user, max(header_job) as header_job, max(message_id) as message_id
    from cells group by all
    having (type <> 'tq' and rcpt <> '') or (type = 'tq' and queue <> '')
    union all
    -- Without a recipient (tq: a queue) nothing merges.
    select type, logged, queued, orig, rcpt, job, env, status, diag, source, queue, file || '#' || number, 1,
        dlv, feedback, category, vmta, pool, smtp_user, header_job, message_id
    from cells where not ((type <> 'tq' and rcpt <> '') or (type = 'tq' and queue <> ''))
), merged as (
    select type, logged, queued, orig, rcpt, job, env, status, diag, source, queue, {alone} as alone,
        max(n) as n, sum(n) as copies,
        max(dlv) as dlv, max(feedback) as feedback, max(category) as category, max(vmta) as vmta, max(pool) as pool,
        max(smtp_user) as smtp_user, max(header_job) as header_job, max(message_id) as message_id
    from per_file group by all
), once as (
    select *, cast(strptime(logged, '%Y-%m-%d %H:%M:%S%z') at time zone 'UTC' as timestamp) as moment,
        case when queued <> '' then cast(strptime(queued, '%Y-%m-%d %H:%M:%S%z') at time zone 'UTC' as timestamp) end
            as queued_at,
        unnest(range(n)) as nth
    from merged
)
select * exclude (source), row_number() over () as event, false as attributed, lower(split_part(rcpt, '@', -1)) as domain,
    case when job <> '' then job when type = 'f' then header_job else '' end as campaign,
    case when type in ('f', 'rb', 'rs') then '' else source end as source_ip,
    regexp_extract(status, '^[0-9]+\\.[0-9]+\\.[0-9]+') as enhanced,
    regexp_extract(diag, '^(?:smtp; *)?([245][0-9][0-9])(?:[ -]|$)', 1) as code,
    epoch_ms(moment) - epoch_ms(queued_at) as ms
from once
"""

# SPEC 5: a report (f, rb, rs) is about the one delivery that the first of these keys leaves: message id, job and
# recipient, custom header (deliveries carry none here), sender and recipient within 72 hours. Nothing that both say may
# differ, and a report comes at most 14 days after its delivery.
LINKS = """
create or replace temp table links as
with deliveries as (
    select *, if(message_id <> '', message_id || chr(31) || lower(rcpt),
                 concat_ws(chr(31), orig, lower(rcpt), queued, campaign)) as message
    from events where type = 'd' and dlv in ('', 'smtp')
), reports as (
    select * from events where type in ('f', 'rb', 'rs')
), pairs as (
    select r.event as report, d.event as delivery from reports r join deliveries d on r.message_id = d.message_id
        where r.message_id <> ''
    union select r.event, d.event from reports r join deliveries d on lower(r.rcpt) = lower(d.rcpt) where r.rcpt <> ''
    union select r.event, d.event from reports r join deliveries d on lower(r.orig) = lower(d.orig)
        where r.rcpt = '' and r.orig <> ''
), keyed as (
    select r.event as report, d.message, d.event as delivery, unnest(case
        when r.message_id <> '' and r.message_id = d.message_id then [1]
        when (r.message_id <> '' and d.message_id <> '') or (r.env <> '' and d.env <> '' and r.env <> d.env)
            or (r.campaign <> '' and d.campaign <> '' and r.campaign <> d.campaign) then []
        else list_filter([
            if(r.rcpt <> '' and r.campaign <> '' and r.campaign = d.campaign, 2, 0),
            if(lower(r.orig) = lower(d.orig) and r.orig <> '' and r.moment <= d.moment + interval 72 hour, 4, 0)
        ], lambda key: key > 0) end) as key
    from pairs p join reports r on p.report = r.event join deliveries d on p.delivery = d.event
    where (r.rcpt = '' or lower(r.rcpt) = lower(d.rcpt))
        and r.moment between d.moment - interval 5 minute and d.moment + interval 14 day
), single as (
    select report, key, min(delivery) as delivery from keyed group by all having count(distinct message) = 1
)
select report, arg_min(delivery, key) as delivery from single group by report
"""

# A report counts under what its delivery says; recipient and domain stay its own where it has them.
ATTRIBUTE = """
update events set attributed = true,
    campaign = if(d.campaign <> '', d.campaign, events.campaign), orig = if(d.orig <> '', d.orig, events.orig),
    vmta = d.vmta, pool = d.pool, source_ip = d.source_ip,
    rcpt = if(events.rcpt <> '', events.rcpt, d.rcpt), domain = if(events.domain <> '', events.domain, d.domain)
from links l join (select * from events) d on l.delivery = d.event
where events.event = l.report
"""

METRICS = """
    count(*) filter (type = 'r') as received,
    count(*) filter (type = 'd' and dlv in ('', 'smtp')) as delivered,
    count(*) filter (type = 'b' and category <> 'success') as bounced_total,
    count(*) filter (type = 't') as deferrals,
    count(distinct case when message_id <> '' then message_id || '|' || rcpt
                        else orig || '|' || rcpt || '|' || queued || '|' || campaign end) filter (type = 't')
        as deferred,
    count(*) filter (type = 'tq') as queue_errors,
    count(*) filter (type = 'rb') as remote_bounces,
    count(*) filter (type = 'f' and feedback in ('', 'abuse')) as complaints,
    count(*) filter (type = 'f' and feedback in ('', 'abuse') and not attributed) as complaints_unattributed,
    count(*) filter (type in ('rb', 'rs')) as rb_events_file,
    list_sort(list(greatest(ms, 0)) filter (type = 'd' and dlv in ('', 'smtp') and ms is not null)) as delivery,
    list_sort(list(greatest(ms, 0)) filter (type = 't' and ms is not null)) as attempt
"""


def nearest_rank(values, percent):
    return values[-(-percent * len(values) // 100) - 1]


class Raw:
    """The raw CSV files in DuckDB."""

    def __init__(self, folder, epoch=False):
        self.db = duckdb.connect(config={"threads": 2})
        self.db.execute(RAW.format(folder=folder))
        for column in ["timeLogged", "timeQueued"] if epoch else []:
            self.db.execute(f"""update raw set "{column}" = strftime(to_timestamp(cast("{column}" as bigint))
                                at time zone 'UTC', '%Y-%m-%d %H:%M:%S+0000') where "{column}" <> ''""")
        self.db.execute(FILES)
        self.merge(ROLES)

    def merge(self, roles):
        """Events of a catalog that holds only the files of some roles, or only some files."""
        names = ", ".join(f"'{role}'" for role in roles)
        column = "f.role" if set(roles) <= set(ROLES) else "f.file"
        self.db.execute(EVENTS.format(roles=f"{column} in ({names})", alone="if(contains(file, '#'), file, '')"))
        self.db.execute("create or replace temp table links as select 0 as report, 0 as delivery limit 0")
        self.db.execute("create or replace table stored as select * from events")
        # A scope that leaves out files or roles with deliveries is about what reports say themselves.
        senders = {role for (role,) in self.ask("select distinct role from raw join files using (file) where type = 'd'")}
        if set(roles) <= set(ROLES) and senders <= set(roles):
            self.db.execute(LINKS)
            self.db.execute(ATTRIBUTE)

    def ask(self, statement, *values):
        return self.db.execute(statement, list(values)).fetchall()

    def groups(self, expression, where, by_received):
        """Metrics by an expression over events."""
        result = self.db.execute(f"select {expression} as value, {METRICS} from events where {where} group by 1")
        names = [column[0] for column in result.description]
        out = {}
        for cells in result.fetchall():
            row = dict(zip(names, cells))
            row["sent"] = row["received"] if by_received else row["delivered"] + row["bounced_total"]
            for measure in ["delivery", "attempt"]:
                values = row.pop(measure) or []
                row[f"latency_{measure}_n"] = len(values)
                if values:
                    row[f"latency_{measure}_avg_ms"] = sum(values) / len(values)
                    row[f"latency_{measure}_max_ms"] = values[-1]
                    for name in PERCENTILES:
                        row[f"latency_{measure}_{name}"] = nearest_rank(values, int(name[1:3]))
            out[row.pop("value")] = row
        return out


# ------------------------------------------------------------------------------------------------------------- checks


def attributed(truth, raw, links):
    """The truth's numbers by dimension, with reports where their delivery is: moved as the SQL over the CSVs finds them.
    Providers, which the CSVs do not tell, come from the generator's truth about reports."""
    by = {name: {value: {**flat(metrics)} for value, metrics in values.items()} for name, values in truth["by"].items()}
    providers = {link["message_id"]: (link["provider"], link["provider_by_name"]) for link in links}
    user = "if({0} = '', '', regexp_extract({0}, '^[^-_.]+'))"
    dimensions = {
        "domain": ("s.domain", "e.domain"), "job": ("s.campaign", "e.campaign"),
        "user": (user.format("s.campaign"), user.format("e.campaign")), "vmta": ("s.vmta", "e.vmta"),
        "pool": ("s.pool", "e.pool"), "source_ip": ("s.source_ip", "e.source_ip"),
        "provider": ("if(e.type <> 'f', 'host', if(s.rcpt = '', '', 'name'))", "d.message_id"),
    }
    for dimension, (own, theirs) in dimensions.items():
        rows = raw.ask(f"""
            select {own}, {theirs}, count(*) filter (e.type = 'f' and e.feedback in ('', 'abuse')),
                count(*) filter (e.type = 'rb'), count(*) filter (e.type in ('rb', 'rs'))
            from links l join events e on l.report = e.event join stored s using (event)
                join stored d on l.delivery = d.event group by all""")
        for before, after, complaints, bounces, events in rows:
            if dimension == "provider":
                by_host, by_name = providers[after]
                if before == "host" or (before == "name" and by_name):
                    continue
                before, after = "", by_host
            for value, sign in [(before, -1), (after, 1)]:
                cell = by[dimension].setdefault(value, {})
                for name, n in [("complaints", complaints), ("remote_bounces", bounces), ("rb_events", events)]:
                    cell[name] = (cell.get(name) or 0) + sign * n
    return by


def read_links(path):
    with open(path, newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def check_truth(checks, pmtop, truth, by):
    totals = pmtop.totals()
    want = flat(truth["totals"])
    names = [*COUNTS, *MEANINGS, "merged_duplicates"]
    checks.report("a. totals = truth", [*differences(flat(totals), want, names), *rates(flat(totals))])
    checks.equal("a. scope and sent basis = truth", [totals["scope"], totals["sent_basis"]],
                 [truth["totals"]["scope"], truth["totals"]["sent_basis"]])
    names = [*COUNTS, *MEANINGS]
    for dimension in DIMENSIONS:
        column = dimension.replace("-", "_")
        wanted = by[column]
        rows = pmtop.operations("--by", dimension)
        checks.report(f"b. operations --by {dimension} = truth ({len(wanted)} values)",
                      compare_rows(rows, column, wanted, names))
    others = [("domains", [], "domain"), ("domains", ["--by", "provider"], "provider"), ("jobs", [], "job"),
              ("users", [], "user"), ("latency", ["--by", "vmta"], "vmta"), ("risk", ["--by", "source-ip"], "source_ip")]
    for report, flags, column in others:
        wanted = by[column]
        rows = pmtop.json("report", report, *flags)
        if report == "risk":
            for row in rows:  # no latency and no distinct messages there
                value = wanted.get(row[column] or "", {})
                row.update({name: number for name, number in value.items() if name.startswith("latency") or name == "deferred"})
        checks.report(f"b. report {' '.join([report, *flags])} = truth", compare_rows(rows, column, wanted, names))
    rows = pmtop.operations("--bucket", "hour")
    wanted = {value: flat(metrics) for value, metrics in truth["by"]["hour"].items() if value}
    checks.report(f"b. operations --bucket hour = truth ({len(wanted)} values)",
                  compare_rows(rows, "bucket", wanted, names))


def scopes(raw, day):
    """Name, flags, SQL condition, whether r rows carry it, roles."""
    at = lambda clock: f"{day}T{clock}"
    between = lambda since, until: f"moment >= timestamp '{day} {since}' and moment < timestamp '{day} {until}'"
    domain = raw.ask("select domain from events where domain <> 'gmail.com' group by 1 order by count(*) desc limit 1")[0][0]
    job, user = raw.ask("""select campaign, regexp_extract(campaign, '^[^-_.]+') from events where campaign <> ''
                           group by all order by count(*) desc limit 1""")[0]
    vmta = raw.ask("select vmta from events where vmta <> '' group by 1 order by count(*) desc limit 1")[0][0]
    jobs = " or ".join(f"campaign = '{name}'" for (name,) in raw.ask(
        "select campaign from events where campaign <> '' group by 1 order by count(*) desc limit 2"))
    two = [name for (name,) in raw.ask(
        "select campaign from events where campaign <> '' group by 1 order by count(*) desc limit 2")]
    times = ["--since", at("10:07:13"), "--until", at("14:52:41")]
    ragged = between("10:07:13", "14:52:41")
    offset = ["--since", at("12:07:13+02:00"), "--until", at("09:52:41-05:00")]
    files = [name for (name,) in raw.ask("select file from files where role in ('acct', 'bounce') order by file")]
    newest = raw.ask("select strftime(max(moment), '%Y-%m-%d %H:%M:%S') from events")[0][0]
    last = f"moment > timestamp '{newest}' - interval 3 hour"
    five = "(enhanced like '5%' or code like '5%')"
    everything = ROLES
    return [
        ("everything", [], "true", True, everything),
        (f"--domain {domain}", ["--domain", domain], f"domain = '{domain}'", True, everything),
        ("--domain in capitals", ["--domain", domain.upper()], f"domain = '{domain}'", True, everything),
        (f"--job {job}", ["--job", job], f"campaign = '{job}'", True, everything),
        ("10:07:13..14:52:41", times, ragged, True, everything),
        ("the same with offsets", offset, ragged, True, everything),
        ("within one bucket", ["--since", at("11:01:02"), "--until", at("11:09:58")],
         between("11:01:02", "11:09:58"), True, everything),
        ("on the edges of buckets", ["--since", at("10:00"), "--until", at("14:00")],
         between("10:00:00", "14:00:00"), True, everything),
        ("edges of counts, not of latencies", ["--since", at("10:15"), "--until", at("14:45")],
         between("10:15:00", "14:45:00"), True, everything),
        ("--domain '!gmail.com'", ["--domain", "!gmail.com"], "domain <> 'gmail.com'", True, everything),
        (f"--job '{user}*'", ["--job", f"{user}*"], f"campaign like '{user}%'", True, everything),
        ("a value and its exclusion", ["--domain", "gmail.com", "--domain", "!gmail.com"], "false", True, everything),
        ("two jobs", ["--job", two[0], "--job", two[1]], f"({jobs})", True, everything),
        ("--domain and --vmta", ["--domain", "gmail.com", "--vmta", vmta],
         f"domain = 'gmail.com' and vmta = '{vmta}'", True, everything),
        ("--job, !domain and a ragged range", ["--job", f"*{user}*", "--domain", "!yahoo.com", *times],
         f"contains(campaign, '{user}') and domain <> 'yahoo.com' and {ragged}", True, everything),
        ("--status '5*'", ["--status", "5*"], five, False, everything),
        ("--status 550", ["--status", "550"], "code = '550'", False, everything),
        ("--status '!5*' ragged", ["--status", "!5*", *times], f"not {five} and {ragged}", False, everything),
        ("--kind bounced", ["--kind", "bounced"], "type = 'b'", False, everything),
        ("--recipient of one domain", ["--recipient", "*@GMAIL.com"], "domain = 'gmail.com'", True, everything),
        ("--type bounce", ["--type", "bounce"], "true", False, ["bounce"]),
        ("--type acct", ["--type", "acct"], "true", True, ["acct"]),
        ("--type bounce or tran, one domain", ["--type", "bounce", "--type", "tran", "--domain", "gmail.com"],
         "domain = 'gmail.com'", False, ["bounce", "tran"]),
        ("--last 3h", ["--last", "3h"], last, True, everything),
        (f"--file {files[0]}", ["--file", files[0]], "true", True, files[:1]),
        ("two files that overlap", ["--file", files[0], "--file", files[1]], "true", True, files[:2]),
        ("two files of two roles", ["--file", files[0], "--file", files[-1]], "true", True, [files[0], files[-1]]),
        ("an excluded file", ["--file", f"!{files[0]}", "--type", "acct"], "true", True, files[1:-1]),
        ("--type '!acct' ragged", ["--type", "!acct", *times], ragged, False, ["tran", "bounce", "fbl", "rb"]),
    ]


LOGGED = {
    "delivered": "d", "bounced_total": "b", "deferrals": "t", "deferred": "t", "queue_errors": "tq",
    "complaints": "f", "remote_bounces": "rb",
}


def availability(totals, types):
    """n/a exactly where no row of the type was logged in files of the scope, with a reason."""
    row = flat(totals)
    for name, kind in LOGGED.items():
        there = kind in types
        if there and row[name] is None:
            yield f"{name} is n/a although {kind} rows were logged"
        if not there and row[name] is not None:
            yield f"{name} is {row[name]} although no {kind} rows were logged"
        if not there and name not in totals["unavailable"]:
            yield f"{name}: no reason in `unavailable`"


def check_sql(checks, pmtop, raw, day):
    names = SQL_COUNTS
    for name, flags, where, received, roles in scopes(raw, day):
        raw.merge(roles)
        carried = received and any(role.startswith("acct") for role in roles)
        want = raw.groups("''", where, carried).get("", {})
        totals = pmtop.totals(*flags)
        problems = [*differences(flat(totals), want, names), *rates(flat(totals))]
        if name.startswith("--type"):
            types = {kind for (kind,) in raw.ask("select distinct type from events")}
            problems += availability(totals, types)
        checks.report(f"c. totals, {name} = SQL over the CSVs", problems)
        by_domain = raw.groups("domain", where, carried)
        checks.report(f"c. by domain, {name} = SQL over the CSVs",
                      compare_rows(pmtop.operations("--by", "domain", *flags), "domain", by_domain, names))
        hours = raw.groups("strftime(date_trunc('hour', moment), '%Y-%m-%dT%H:00:00Z')", where, carried)
        checks.report(f"c. by hour, {name} = SQL over the CSVs",
                      compare_rows(pmtop.operations("--bucket", "hour", *flags), "bucket", hours, names))
        rows = pmtop.operations("--by", "job", "--bucket", "hour", *flags)
        pairs = raw.groups("campaign || ' ' || strftime(date_trunc('hour', moment), '%Y-%m-%dT%H:00:00Z')", where, carried)
        for row in rows:
            row["pair"] = f"{row['job'] or ''} {row['bucket']}"
        checks.report(f"c. by job and hour, {name} = SQL over the CSVs", compare_rows(rows, "pair", pairs, names))
        if name in ("everything", "10:07:13..14:52:41"):
            quarters = raw.groups("strftime(time_bucket(interval 15 minute, moment), '%Y-%m-%dT%H:%M:00Z')", where, carried)
            checks.report(f"c. by quarter of an hour, {name} = SQL over the CSVs",
                          compare_rows(pmtop.operations("--bucket", "quarter", *flags), "bucket", quarters, names))
            days = raw.groups("strftime(moment, '%Y-%m-%dT00:00:00Z')", where, carried)
            checks.report(f"c. by day, {name} = SQL over the CSVs",
                          compare_rows(pmtop.operations("--bucket", "day", *flags), "bucket", days, names))
            minutes = raw.groups("strftime(date_trunc('minute', moment), '%Y-%m-%dT%H:%M:00Z')", where, carried)
            checks.report(f"c. by minute, {name} = SQL over the CSVs",
                          compare_rows(pmtop.operations("--bucket", "minute", *flags), "bucket", minutes, names))
        if name in ("--status '5*'", "--job, !domain and a ragged range", "--type bounce"):
            lines = len(pmtop.json("events", *flags))
            checks.equal(f"c. rows of events, {name} = SQL over the CSVs", lines,
                         raw.ask(f"select count(*) from events where {where}")[0][0])
    raw.merge(ROLES)


def check_again(checks, pmtop, logs, work):
    before = pmtop.run("report", "totals", "--format", "json")
    again = pmtop.ingest(logs)
    checks.equal("d. the same files again are duplicates", {file["status"] for file in again}, {"duplicate"})
    renamed = work / "renamed"
    renamed.mkdir()
    for number, path in enumerate(sorted(logs.iterdir())):
        plain = renamed / f"export {number:03}.csv"
        shutil.copyfile(path, plain)
        with open(path, "rb") as source, gzip.open(renamed / f"{path.name}.gz", "wb", 1) as packed:
            shutil.copyfileobj(source, packed)
    again = pmtop.ingest(renamed)
    checks.equal("d. renamed and gzipped files are duplicates", {file["status"] for file in again}, {"duplicate"})
    checks.equal("d. each of them once", len(again), 2 * len(list(logs.iterdir())))
    checks.equal("d. totals are unchanged", pmtop.run("report", "totals", "--format", "json"), before)
    shutil.rmtree(renamed)


def cut(path, share, to):
    """The first rows of a file; no row of these files goes over several lines."""
    lines = path.read_bytes().splitlines(keepends=True)
    to.write_bytes(b"".join(lines[: 1 + int(len(lines) * share)]))


def check_grown(checks, pmtop, reference, logs, work):
    """A file that grew adds only what is new, whichever of its states comes first."""
    parts = work / "parts"
    parts.mkdir()
    for path in logs.iterdir():
        cut(path, 0.4, parts / path.name)
    pmtop.ingest(parts)
    pmtop.ingest(logs)
    same = lambda totals: {key: value for key, value in totals.items() if key != "merged_duplicates"}
    got, want = flat(same(pmtop.totals())), flat(same(reference.totals()))
    checks.report("d. files that grew add only what is new",
                  [f"{name}: got {got[name]}, want {value}" for name, value in want.items() if got[name] != value])
    shutil.rmtree(parts)


def check_parquet(checks, pmtop, truth, raw):
    want = sum(truth["events"].values())
    parquet = f"read_parquet('{pmtop.catalog}/events/**/*.parquet', hive_partitioning = false)"
    checks.equal("e. sql count(*) = truth", pmtop.count("select count(*) from events"), want)
    checks.equal("e. copies = the truth's merged duplicates", pmtop.count("select count(*) from copies"),
                 truth["merged_duplicates"])
    checks.equal("e. DuckDB on the Parquet = truth", raw.ask(f"select count(*) from {parquet}")[0][0], want)
    for column in ["event_type", "date", "record_type", "kind", "recipient_domain", "job_id"]:
        mine = {str(value or ""): n for value, n in raw.ask(f"select {column}, count(*) from {parquet} group by 1")}
        rows = pmtop.json("sql", f"select {column}, count(*) as n from events group by 1")
        checks.equal(f"e. sql by {column} = DuckDB on the Parquet",
                     {str(row[column] or ""): row["n"] for row in rows}, mine)
    checks.equal("e. record types = truth",
                 dict(raw.ask(f"select record_type, count(*) from {parquet} group by 1")), truth["events"])
    checks.equal("e. folders say what the columns say",
                 raw.ask(f"""select count(*) from read_parquet('{pmtop.catalog}/events/**/*.parquet',
                             hive_partitioning = false, filename = true)
                             where not contains(filename, '/date=' || date || '/event_type=' || event_type || '/')"""),
                 [(0,)])
    cells = {
        "type": "record_type", "moment": "cast(event_time at time zone 'UTC' as timestamp)", "rcpt": "recipient",
        "orig": "sender", "campaign": "job_id", "enhanced": "smtp_status", "code": "smtp_code", "diag": "dsn_diag",
        "source_ip": "source_ip", "queue": "queue", "vmta": "vmta", "pool": "vmta_pool", "env": "env_id",
        "domain": "recipient_domain", "message_id": "message_id", "category": "bounce_category",
    }
    text = lambda expression: f"coalesce(cast({expression} as varchar), '')"
    for name, column in cells.items():
        keys = [("type", "record_type"), ("logged", "strftime(event_time at time zone 'UTC', '%Y-%m-%d %H:%M:%S+0000')"),
                ("lower(rcpt)", "lower(recipient)"), (name, column)]
        mine = "select " + ", ".join(text(key) for key, _ in keys) + " from stored"
        theirs = "select " + ", ".join(text(key) for _, key in keys) + f" from {parquet}"
        odd = raw.ask(f"select * from (({mine} except all {theirs}) union all ({theirs} except all {mine})) limit 4")
        checks.report(f"e. column {column} of every event = the CSVs", odd)
    checks.report("e. files: rows and merged rows", files_problems(pmtop, truth, raw))


def files_problems(pmtop, truth, raw):
    files = {file["name"]: file for file in pmtop.json("files") if file["status"] == "done"}
    roles = dict(raw.ask("select file, role from files"))
    for name, want in truth["files"].items():
        got = files.get(name)
        if got is None:
            yield f"{name}: not in the file table"
            continue
        facts = [got["type"], got["rows"], got["from"], got["to"], got["rejected_rows"]]
        wanted = [roles[name], want["rows"], want["from"], want["to"], 0]
        if facts != wanted:
            yield f"{name}: got {facts}, want {wanted}"
    merged = sum(file["merged_rows"] for file in files.values())
    if merged != truth["merged_duplicates"]:
        yield f"merged rows: got {merged}, want {truth['merged_duplicates']}"


ANSWERS = [
    ["report", "totals"],
    ["report", "operations", "--by", "domain"],
    ["report", "operations", "--bucket", "hour"],
    ["report", "domains"],
    ["report", "replies"],
    *(["report", "totals", "--type", role] for role in ROLES),
    *(["report", "operations", "--by", "job", "--type", role] for role in ROLES),
    ["sql", "select file_name, n from (select f.name as file_name, count(*) as n from events e join files f"
            " on e.file_id = f.file_id group by 1) order by 1"],
]


def answers(pmtop):
    return [pmtop.run(*question, "--format", "json") for question in ANSWERS]


def check_order(checks, make, reference, logs, seed):
    want = answers(reference)
    shuffled = random.Random(seed)
    for turn in range(3):
        paths = sorted(logs.iterdir(), reverse=turn == 0)
        if turn:
            shuffled.shuffle(paths)
        pmtop = make(f"order-{turn}")
        for path in paths:
            pmtop.ingest(path)
        got = answers(pmtop)
        odd = [" ".join(question) for question, a, b in zip(ANSWERS, got, want) if a != b]
        checks.report(f"f. order {turn + 1} of the files gives the same answers, byte for byte", odd)
        shutil.rmtree(pmtop.catalog)


def shuffle_columns(source, target, shuffled):
    """The same rows with the columns in another order, one more column, and packed."""
    with open(source, newline="", encoding="utf-8") as lines, gzip.open(target, "wt", 1, "utf-8", newline="") as out:
        rows = csv.reader(lines)
        header = next(rows)
        order = list(range(len(header)))
        shuffled.shuffle(order)
        write = csv.writer(out, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
        write.writerow([*(header[index] for index in order), "header_X-Unknown"])
        write.writerows([*(row[index] for index in order), "x"] for row in rows)


def check_columns(checks, make, reference, logs, work, seed):
    """Columns in another order, quoted, CRLF, gzipped, with a column that nobody knows."""
    folder = work / "columns"
    folder.mkdir()
    shuffled = random.Random(seed)
    for path in logs.iterdir():
        shuffle_columns(path, folder / f"{path.name}.gz", shuffled)
    pmtop = make("columns-catalog")
    pmtop.ingest(folder)
    questions = [question for question in ANSWERS if question[0] == "report"]
    odd = [" ".join(question) for question in questions if pmtop.json(*question) != reference.json(*question)]
    checks.report("d. columns in another order give the same answers", odd)
    pmtop.ingest(logs)
    same = lambda totals: {key: value for key, value in totals.items() if key != "merged_duplicates"}
    checks.equal("d. the same rows in another shape add nothing", same(pmtop.totals("--type", "acct")),
                 same(reference.totals("--type", "acct")))
    shutil.rmtree(folder)
    shutil.rmtree(pmtop.catalog)


VARIANTS = [
    ["--days", "3", "--tail-days", "2", "--messages", "9000"],
    ["--days", "2", "--messages", "9000", "--epoch"],
    ["--messages", "9000", "--crlf", "--no-received", "--overlap", "40", "--max-file-rows", "1500"],
    ["--messages", "30000", "--incident", "demo"],
    ["--messages", "12"],
]


def check_variants(checks, make, options, work):
    """Other shapes of logs against their truth."""
    for number, flags in enumerate(VARIANTS):
        folder = work / f"variant-{number}"
        truth = generate(options, folder / "logs", folder / "truth.json", *flags, seed=options.seed + number)
        pmtop = make(f"variant-{number}/catalog")
        pmtop.ingest(folder / "logs")
        by = attributed(truth, Raw(folder / "logs", "--epoch" in flags), read_links(folder / "truth.csv"))
        name = f"h. {' '.join(flags)}: "
        names = [*COUNTS, *MEANINGS]
        totals = pmtop.totals()
        want = flat(truth["totals"])
        checks.report(f"{name}totals = truth", [
            *differences(flat(totals), want, [*names, "merged_duplicates"]), *rates(flat(totals)),
            *([] if totals["sent_basis"] == want["sent_basis"] else [f"sent basis {totals['sent_basis']}"]),
            *([] if totals["scope"] == want["scope"] else [f"scope {totals['scope']}, want {want['scope']}"])])
        for dimension in DIMENSIONS:
            column = dimension.replace("-", "_")
            checks.report(f"{name}--by {dimension} = truth",
                          compare_rows(pmtop.operations("--by", dimension), column, by[column], names))
        wanted = {value: flat(metrics) for value, metrics in truth["by"]["hour"].items() if value}
        checks.report(f"{name}--bucket hour = truth",
                      compare_rows(pmtop.operations("--bucket", "hour"), "bucket", wanted, names))
        shutil.rmtree(folder)


def possible_sums(raw, condition):
    """What each set of whole files gives as a count."""
    files = [name for (name,) in raw.ask(
        f"select distinct file from raw where {condition} order by 1")]
    if len(files) > 10:
        return None
    vectors = {}
    for counts, n in raw.ask(f"""
        with n as (select type, "timeLogged", "timeQueued", orig, rcpt, "jobId", "dsnStatus", "dsnDiag",
                          "dlvSourceIp", queue, file, count(*) as n from raw where {condition} group by all),
        e as (select map(list(file), list(n)) as counts
              from n group by type, "timeLogged", "timeQueued", orig, rcpt, "jobId", "dsnStatus", "dsnDiag",
                              "dlvSourceIp", queue)
        select counts, count(*) from e group by 1"""):
        key = tuple(counts.get(name, 0) for name in files)
        vectors[key] = vectors.get(key, 0) + n
    sums = set()
    for size in range(len(files) + 1):
        for chosen in itertools.combinations(range(len(files)), size):
            sums.add(sum(n * max((key[index] for index in chosen), default=0) for key, n in vectors.items()))
    return sums


def done_rows(pmtop):
    files = [file for file in pmtop.json("files") if file["status"] == "done"]
    return len(files), sum(file["rows"] - file["merged_rows"] for file in files)


def check_two(checks, pmtop, reference, raw, logs):
    sums = {
        "delivered": possible_sums(raw, "type = 'd' and coalesce(\"dlvType\", '') in ('', 'smtp')"),
        "deferrals": possible_sums(raw, "type = 't'"),
        "complaints": possible_sums(raw, "type = 'f' and coalesce(\"feedbackType\", '') in ('', 'abuse')"),
    }
    final = reference.totals()
    pmtop.run("files")
    both = [pmtop.start("ingest", "--format", "json", logs) for _ in range(2)]
    seen, looks, sandwiches, problems = {name: 0 for name in [*sums, "bounced_total"]}, 0, 0, []
    while any(process.poll() is None for process in both):
        totals = flat(pmtop.totals())
        looks += 1
        for name, last in seen.items():
            value = totals[name] or 0
            if value < last or value > flat(final)[name]:
                problems.append(f"{name}: {value} after {last}, at the end {flat(final)[name]}")
            if sums.get(name) is not None and value not in sums[name]:
                problems.append(f"{name}: {value} is the count of no set of whole files")
            seen[name] = value
        before = done_rows(pmtop)
        rows = pmtop.count("select count(*) from events")
        after = done_rows(pmtop)
        if before == after:
            sandwiches += 1
            if rows != before[1]:
                problems.append(f"sql counts {rows} rows where {before[0]} files hold {before[1]} events")
    outputs = [json.loads(process.communicate()[0]) for process in both]
    checks.report(f"g. {looks} looks ({sandwiches} exact) while two processes ingest see whole files only", problems)
    checks.equal("g. both processes exit with 0", [process.returncode for process in both], [0, 0])
    names = [file["name"] for output in outputs for file in output if file["status"] == "done"]
    checks.equal("g. every file was taken in by one of them", sorted(names), sorted(path.name for path in logs.iterdir()))
    checks.equal("g. afterwards every event is there once", answers(pmtop), answers(reference))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--pmtop", required=True, type=Path)
    parser.add_argument("--generate", required=True, type=Path)
    parser.add_argument("--messages", type=int, default=160_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="work here and leave everything for a look")
    options = parser.parse_args()
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=False)
        return check(options, options.keep.absolute())
    with tempfile.TemporaryDirectory(prefix="pmtop-oracle-") as folder:
        return check(options, Path(folder))


def generate(options, logs, truth, *flags, seed):
    subprocess.run([options.generate.absolute(), "--dir", logs, "--truth", truth, "--links", truth.with_suffix(".csv"),
                    "--seed", str(seed), *map(str, flags)], check=True, capture_output=True)
    return json.loads(truth.read_text())


def check(options, work):
    checks = Checks()
    logs = work / "logs"
    truth = generate(options, logs, work / "truth.json", "--messages", options.messages, "--overlap", 500,
                     "--max-file-rows", options.messages * 5 // 8, "--tail-days", 0, seed=options.seed)
    print(f"{options.messages} messages, {sum(truth['rows_written'].values())} rows, seed {options.seed}", flush=True)
    make = lambda name: Pmtop(options.pmtop.absolute(), work / name, work)
    pmtop = make("catalog")
    files = pmtop.ingest(logs)
    checks.equal("a. every file is taken in", {file["status"] for file in files}, {"done"})
    raw = Raw(logs)
    checks.equal("a. the SQL over the CSVs finds the truth's events",
                 dict(raw.ask("select type, count(*) from events group by 1")), truth["events"])
    check_truth(checks, pmtop, truth, attributed(truth, raw, read_links(work / "truth.csv")))
    check_parquet(checks, pmtop, truth, raw)
    check_sql(checks, pmtop, raw, truth["start"])
    check_again(checks, pmtop, logs, work)
    check_grown(checks, make("grown"), pmtop, logs, work)
    check_columns(checks, make, pmtop, logs, work, options.seed)
    check_order(checks, make, pmtop, logs, options.seed)
    check_two(checks, make("two"), pmtop, raw, logs)
    check_variants(checks, make, options, work)
    print(f"{checks.passed} passed, {checks.failed} failed", flush=True)
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Three questions answered by keys alone in a real terminal (a pty; pyte draws what it is sent), and what the screen says compared
with DuckDB on the raw CSV files and with the generator's truth:
US-1 when did delivery to a provider slow down, and which attempts were it; US-2 why did a job fail; US-3 which user hurts
the reputation; and what rules find: from the card on Health to the incident, to what explains it, to its rows, to a ticket."""

import argparse
import csv
import datetime
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

import duckdb
import pyte

PATIENCE = 30


class Terminal:
    """pmtop in a terminal of its own."""

    def __init__(self, command, columns, lines, folder):
        self.kept = []
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        environment = {**os.environ, "TERM": "xterm-256color", "XDG_STATE_HOME": str(folder / "state"), "LC_ALL": "C.UTF-8"}
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe(command[0], command, environment)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        os.kill(self.pid, signal.SIGWINCH)

    def read(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if not select.select([self.fd], [], [], max(0, until - time.monotonic()))[0]:
                return
            try:
                self.stream.feed(os.read(self.fd, 1 << 16))
            except OSError:
                return

    def text(self):
        return "\n".join(self.screen.display)

    def press(self, *keys):
        for key in keys:
            os.write(self.fd, key.encode())
            self.read(0.15)

    def wait(self, pattern, what):
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            found = re.search(pattern, self.text())
            if found:
                return found
            self.read(0.1)
        sys.exit(f"{self.text()}\n\nnot seen: {what} ({pattern})")

    def keep(self, keys, words):
        """Keeps the screen for a document: the keys that led to it, and what is to be seen."""
        self.kept.append((keys, words, "\n".join(line.rstrip() for line in self.screen.display).rstrip()))

    def filter(self, text):
        self.press("f")
        self.wait("(?i)filter", "the filter bar")
        self.press(text, "\r")
        # Where the line is short, chips are a number.
        self.wait(re.escape(text) + r"|\+\d", f"the chip {text}")

    def export(self, folder):
        """The rows of the file that `e` writes."""
        before = set(folder.glob("pmtop-*.csv"))
        self.press("e")
        self.wait("exported to", "the export's file")
        (path,) = set(folder.glob("pmtop-*.csv")) - before
        return list(csv.DictReader(path.open()))

    def close(self):
        self.press("\x1b", "\x1b", "q")
        self.read(1)
        try:
            os.kill(self.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def check(terminal, what, found, wanted):
    if found != wanted:
        sys.exit(f"{terminal.text()}\n\n{what}: found {found}, wanted {wanted}")
    print(f"  {what}: {found}")


def seconds(text):
    """`33m 18s`, `4.0s`, `1d 03h` in seconds."""
    factors = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    return sum(float(number) * factors[unit] for number, unit in re.findall(r"([\d.]+)([dhms])\b", text))


class Logs:
    def __init__(self, folder):
        self.db = duckdb.connect()
        for kind in ("acct", "tran", "fbl"):
            self.db.execute(f"create view {kind} as select * from read_csv('{folder}/{kind}-*.csv', all_varchar = true, union_by_name = true)")

    def count(self, kind, condition):
        return self.db.execute(f"select count(*) from {kind} where {condition}").fetchone()[0]


def slow_delivery(terminal, folder, logs, truth):
    """US-1: heatmap, box, rows of `tran`."""
    incident = truth["incident"]
    terminal.press("2")
    terminal.wait("Latency over time", "the latency tab")
    terminal.press("\t", "\t")
    terminal.wait("Heatmap by provider", "the heatmap")
    readout = rf"(\d\d \w+ \d\d:\d\d)\S* {incident['provider']} · p95 latency (\S+(?: \d\d\w)?)"
    terminal.wait(readout, "the heatmap's cursor on the provider")
    seen = []
    for _ in range(60):
        found = re.search(readout, terminal.text())
        if not found or (seen and seen[-1][0] == found[1]):
            break
        seen.append((found[1], seconds(found[2])))
        terminal.press("\x1b[D")
        # Where rules look at new files the machine may be busy: the cursor gets its time.
        for _ in range(20):
            moved = re.search(readout, terminal.text())
            if moved and moved[1] != found[1]:
                break
            terminal.read(0.1)
    slow = [at for at, wait in reversed(seen) if wait >= 300]
    began = datetime.datetime.fromisoformat(incident["from"].replace("Z", ""))
    check(terminal, "US-1 the first slow hour", slow[0], began.strftime("%d %b %H:00"))
    # Back to that hour, a box over it and the next, and into it.
    for _ in range(60):
        if re.search(re.escape(slow[0]) + r"\S* " + incident["provider"], terminal.text()):
            break
        terminal.press("\x1b[C")
    terminal.press(" ", "\x1b[C", "\r")
    terminal.wait(rf"provider={incident['provider']}|\+\d", "the chip of the box")
    terminal.wait(rf"{began:%d %b %H}:00 – \S*\s?\S*\s?{began.hour + 2}:00", "the time of the box")
    terminal.filter("type=tran")
    terminal.press("5")
    terminal.wait("deferred", "attempts")
    rows = terminal.export(folder)
    from_, until = f"{began:%Y-%m-%d %H}:00:00", f"{began.replace(hour=began.hour + 2):%Y-%m-%d %H}:00:00"
    inside = f"type = 't' and (dsnMta ilike '%google.com%' or dsnMta ilike '%googlemail.com%' or split_part(rcpt, '@', 2) in ('gmail.com', 'googlemail.com')) and substr(timeLogged, 1, 19) >= '{from_}' and substr(timeLogged, 1, 19) < '{until}'"
    check(terminal, "US-1 rows of tran", len([row for row in rows if row["record_type"] == "t"]), logs.count("tran", inside))
    throttled = [row for row in rows if row["reply_class"] == incident["reply_class"] and row["vmta"] == incident["vmta"]]
    check(terminal, "US-1 most are the incident's", len(throttled) * 2 > len(rows), True)


def failed_job(terminal, folder, logs, truth):
    """US-2: job filter, numbers, bounces with replies, attempts, the summary as a file."""
    job = truth["incident"]["dirty_job"]
    terminal.press("1", "\x12")
    terminal.filter(f"job={job}")
    # The last panel says why; from there on to the first, the cards.
    terminal.press("\x1b[Z")
    terminal.wait("5\\.1\\.1|unknown-user", "why: the replies")
    terminal.press("\t")
    (summary,) = [row for row in terminal.export(folder) if row.get("sent")]
    bounced, attempts = logs.count("acct", f"type = 'b' and jobId = '{job}'"), logs.count("tran", f"type = 't' and jobId = '{job}'")
    check(terminal, "US-2 bounces in the summary", int(summary["bounced_total"]), bounced)
    check(terminal, "US-2 attempts in the summary", int(summary["deferrals"]), attempts)
    check(terminal, "US-2 delivered in the summary", int(summary["delivered"]), logs.count("acct", f"type = 'd' and jobId = '{job}'"))
    terminal.filter("kind=bounced")
    terminal.press("5")
    terminal.wait("! bounced", "the bounces")
    rows = terminal.export(folder)
    check(terminal, "US-2 bounces in the Explorer", len(rows), bounced)
    check(terminal, "US-2 each tells why", all(row["dsn_diag"] or row["smtp_status"] for row in rows), True)


def bad_user(terminal, folder, logs, truth):
    """US-3: the risk tab by user."""
    user = truth["incident"]["dirty_user"]
    terminal.press("\x12", "4")
    terminal.wait("Risk by job", "the risk tab")
    terminal.press("v")
    terminal.wait("Risk by user", "the ranking by user")
    first = terminal.wait(r"user +score.*\n\W*(\S+) +(\d+)", "the first of the ranking")
    check(terminal, "US-3 the first of the ranking", first[1], user)
    rows = terminal.export(folder)
    scores = [float(row["risk_score"]) for row in rows]
    check(terminal, "US-3 sorted by risk", scores, sorted(scores, reverse=True))
    row = rows[0]
    check(terminal, "US-3 its bounces", int(row["bounced_total"]), logs.count("acct", f"type = 'b' and jobId like '{user}-%'"))
    check(terminal, "US-3 its complaints", int(row["complaints"]), logs.count("fbl", f"\"header_X-job\" like '{user}-%' and coalesce(feedbackType, '') in ('', 'abuse')"))


def hidden_incident(terminal, folder, logs, truth):
    """Rules: card, incident, explain, rows, evidence."""
    incident = truth["incident"]
    ip, provider = incident["source_ip"], incident["provider"]
    slack = datetime.timedelta(minutes=15)
    terminal.wait(rf"{provider} · {re.escape(ip)} is", "the card of the hidden incident")
    terminal.press("\t")
    terminal.wait("enter opens it", "the cursor on the cards")
    terminal.keep("`tab`", "Health. The cursor goes to what is worth a look: the worst first, what goes on before what is over.")
    terminal.press("\r")
    when = terminal.wait(r"when +(\d\d \w+) (\d\d:\d\d)–(\d\d:\d\d)", "when the incident was")
    began = datetime.datetime.fromisoformat(incident["from"].replace("Z", ""))
    ended = datetime.datetime.fromisoformat(incident["to"].replace("Z", ""))
    at = lambda clock: datetime.datetime.strptime(f"{began:%Y-%m-%d} {clock}", "%Y-%m-%d %H:%M")
    check(terminal, "incident: its day", when[1], f"{began:%d %b}")
    check(terminal, "incident: begins with the truth", abs(at(when[2]) - began) <= slack, True)
    check(terminal, "incident: ends with the truth", abs(at(when[3]) - ended) <= slack, True)
    terminal.wait(rf"cause .*\d.* {incident['reply_class']}", "its first cause")
    terminal.keep("`enter`", "The incident: how bad, since when, of whom, and why. The replies say what the provider thinks, and what to do.")
    terminal.press("x")
    terminal.wait(rf"provider {provider} × source IP {re.escape(ip)}", "what explains it")
    terminal.keep("`x`", "Why? The window is compared with the time before it, over all dimensions: one address at one provider. Neither the "
                  "provider's other mail nor the address's other mail is concerned.")
    terminal.press("o")
    terminal.wait("Events", "its rows")
    terminal.wait(r"\d:\d\d ○ deferred", "the rows themselves")
    terminal.keep("`o`", "The rows behind the line under the cursor; `esc` leads back the way we came.")
    rows = terminal.export(folder)
    hit = [row for row in rows if row["reply_class"] == incident["reply_class"] and row["source_ip"] == ip]
    check(terminal, "incident: most rows are those of the truth", len(hit) * 10 > len(rows) * 9, True)
    inside = f"type = 't' and dlvSourceIp = '{ip}' and dsnDiag like '%4.7.28%' and substr(timeLogged, 1, 19) between '{{}}' and '{{}}'"
    times = sorted(row["event_time"][:19].replace("T", " ") for row in hit)
    check(terminal, "incident: its rows", len(hit), logs.count("tran", inside.format(times[0], times[-1])))
    terminal.press("\x1b")
    terminal.wait("esc ‹ Health", "the incident again")
    terminal.press("E")
    terminal.wait("postmaster is in", "the ticket's file")
    # Where lines are short the path is wrapped.
    (path,) = folder.glob("pmtop-evidence-*.md")
    terminal.keep("`esc` `E`", "The evidence: a ticket for the provider's postmaster as Markdown, and its rows as CSV.")
    ticket = path.read_text()
    terminal.ticket = ticket
    check(terminal, "incident: the ticket names the address", ip in ticket, True)
    check(terminal, "incident: the ticket has the reply verbatim", f"[{ip}] Our system has detected an unusual rate" in ticket, True)
    check(terminal, "incident: the ticket hides recipients", [row["recipient"] for row in hit if row["recipient"] in ticket], [])


def solved(terminal, truth):
    """The story of the hidden incident as a document."""
    incident = truth["incident"]
    parts = [
        "# The demo's hidden incident, solved by keys",
        f"Captured in a real terminal of {terminal.screen.columns}×{terminal.screen.lines} by `tests/terminal/stories.py --solved`: from the card on Health to "
        f"the incident, to what explains it, to its rows, to a ticket. What was hidden in the logs: {incident['provider']} slows the address "
        f"{incident['source_ip']} from {incident['from'][11:16]} to {incident['to'][11:16]}.",
    ]
    for keys, words, screen in terminal.kept:
        parts += [f"## {keys}", words, f"```text\n{screen}\n```"]
    lines = terminal.ticket.rstrip().splitlines()
    parts += ["## The ticket", "````markdown\n" + "\n".join(lines[:60]) + "\n````"]
    return "\n\n".join(parts) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pmtop", required=True)
    parser.add_argument("--generate", required=True)
    parser.add_argument("--messages", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--solved", type=Path, help="play the story of the hidden incident alone, and write its screens to this file")
    given = parser.parse_args()
    pmtop, generate = os.path.abspath(given.pmtop), os.path.abspath(given.generate)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        subprocess.run([generate, "--dir", folder / "logs", "--messages", str(given.messages), "--incident", "demo", "--seed",
                        str(given.seed), "--start", "2026-11-20", "--truth", folder / "truth.json"], check=True, capture_output=True)
        subprocess.run([pmtop, "--catalog", folder / "catalog", "ingest", folder / "logs"], check=True, capture_output=True)
        truth, logs = json.loads((folder / "truth.json").read_text()), Logs(folder / "logs")
        for columns, lines in [(120, 36)] if given.solved else [(160, 50), (80, 24)]:
            print(f"{columns}x{lines}")
            for story in (hidden_incident,) if given.solved else (slow_delivery, failed_job, bad_user, hidden_incident):
                command = [pmtop, "--catalog", str(folder / "catalog"), "--since", "2026-11-20", "--until", "2026-11-21"]
                if story is not slow_delivery:
                    command = command[:3] + ["--since", "2026-11-20", "--until", "2026-11-30"]
                shown = folder / f"{story.__name__}-{columns}"
                shown.mkdir()
                terminal = Terminal(command, columns, lines, shown)
                terminal.wait("Health", "the first screen")
                story(terminal, shown, logs, truth)
                terminal.close()
                if given.solved:
                    given.solved.write_text(solved(terminal, truth))
    print("all stories played")


if __name__ == "__main__":
    main()

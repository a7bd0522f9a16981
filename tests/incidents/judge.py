#!/usr/bin/env python3
"""Judges the incidents that pmtop finds against the truth about generated logs: nine kinds of incident, each after five
weeks of history, and thirty quiet days, for many seeds. Needs Python 3.9 and nothing else.

    python tests/incidents/judge.py --pmtop target/release/pmtop --generate target/release/examples/generate_logs \
        --seeds 1000-1009

While rules are being written use seeds from 1000 on; seeds below are for proofs, each looked at once (docs/measurements.md
tells which: up to 120 until now).

An incident counts as solved when all of this holds:
  found  an incident of a rule that may find this kind, at that time, whose scope names just the affected rows: the
         dimensions of one of the truth's scopes, and besides only what these imply
  cause  its first cause has the class of the replies (kinds without replies pass)
  start  it begins within 15 minutes of the truth (complaints: 2 hours)
  end    it ends within the same of the truth; one that is still open does not
Times are those of the incident's `started_at` and `ended_at` where it has them, else of `opened_at` and `closed_at`. When
several incidents fit (one that closed and opened again), the first start and the last end count; the table tells.

False is every other incident unless it is a consequence: within the time of the hidden one, or up to six hours after it
(complaints: a day), of a scope that names only values its rows touch.

Exits with 0 when at least 95 % of all hidden incidents are solved and no quiet run has more than one false incident,
with 1 when not, with 2 when something could not be run.
"""

import argparse
import collections
import concurrent.futures
import datetime
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

SCENARIOS = [
    "google-throttle", "yahoo-tss04", "spamhaus", "dirty-list", "complaints", "dmarc", "latency-creep", "outage",
    "volume-drop", "none",
]
# Which rules may find a family. An outage shows as queue errors, or as deferrals without an answer.
RULES = {
    "throttling": {"provider-throttling"},
    "block": {"ip-block", "provider-throttling"},
    "bounce": {"bounce-spike"},
    "complaint": {"complaint-spike"},
    "auth": {"auth-failure"},
    "latency": {"latency-anomaly"},
    "outage": {"queue-error", "provider-throttling"},
    "volume": {"volume-drop"},
}
ALIASES = {"ip": "source_ip", "rcpt_domain": "domain", "recipient_domain": "domain", "from_domain": "sender_domain"}
HISTORY_DAYS = 35
QUIET_DAYS = 30
LOOK_BACK_DAYS = 7
BAR = 0.95
MOST_FALSE = 1
MINUTE = datetime.timedelta(minutes=1)


def moment(text):
    """A time from JSON: ISO text, or Unix seconds or milliseconds."""
    if text is None:
        return None
    if isinstance(text, (int, float)):
        seconds = text / 1000 if text > 1e11 else text
        return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    time = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return time if time.tzinfo else time.replace(tzinfo=datetime.timezone.utc)


def times(incident):
    """When an incident began and ended; no end while it is open."""
    start = moment(incident.get("started_at") or incident.get("opened_at"))
    closed = moment(incident.get("closed_at"))
    return start, (moment(incident.get("ended_at")) or closed) if closed else None


def scope_of(incident):
    """The scope in the truth's words: what is empty is not there, a queue is named without its VMTA."""
    scope = {}
    for name, value in (incident.get("scope") or {}).items():
        name = name.replace("-", "_").lower()
        name = ALIASES.get(name, name)
        if value in (None, "", "*", []):
            continue
        value = str(value[0] if isinstance(value, list) and len(value) == 1 else value).lower()
        scope[name] = value.split("/")[0] if name == "queue" else value
    return scope


def lower(values):
    return {str(value).lower() for value in values}


def right_scope(scope, truth):
    """Whether a scope names just the affected rows."""
    for wanted in truth["acceptable_scopes"]:
        named = all(scope.get(name) == value.lower() for name, value in wanted.items())
        rest = {name: value for name, value in scope.items() if name not in wanted}
        if named and all(value in lower(truth["implied"].get(name, ())) for name, value in rest.items()):
            return True
    return False


def tolerance(truth):
    return (120 if truth["rule"] == "complaint" else 15) * MINUTE


def overlaps(incident, start, end):
    begins, ends = times(incident)
    return begins <= end and (ends is None or ends >= start)


def consequence(incident, truth):
    """Whether an incident follows from the hidden one."""
    start, end = moment(truth["from"]), moment(truth["to"])
    hours = 24 if truth["rule"] == "complaint" else 6
    begins, _ = times(incident)
    if not (start - 30 * MINUTE <= begins <= end + hours * 60 * MINUTE):
        return False
    if truth["rule"] == "volume" and incident["rule"] in ("volume-drop", "ingest-silence"):
        return True
    return all(value in lower(truth["touches"].get(name, ())) for name, value in scope_of(incident).items())


def judge(truths, incidents, since):
    """What is right and wrong about the incidents of one run."""
    incidents = [i for i in incidents if times(i)[1] is None or times(i)[1] >= since]
    verdicts = [judge_one(truth, incidents) for truth in truths]
    explained = {id(i) for verdict in verdicts for i in verdict["fitting"]}
    false, consequences = [], 0
    for incident in incidents:
        if id(incident) in explained:
            continue
        if any(consequence(incident, truth) for truth in truths):
            consequences += 1
        else:
            false.append(incident)
    return verdicts, false, consequences


def judge_one(truth, incidents):
    start, end, slack = moment(truth["from"]), moment(truth["to"]), tolerance(truth)
    near = [
        i for i in incidents if i["rule"] in RULES[truth["rule"]] and overlaps(i, start - slack, end + slack)
        # What began long before is something else, however its scope reads.
        and times(i)[0] >= start - max(slack, 60 * MINUTE)
    ]
    fitting = [i for i in near if right_scope(scope_of(i), truth)]
    verdict = {"found": bool(fitting), "cause": False, "start": False, "end": False, "fitting": fitting, "near": near}
    if not fitting:
        return verdict
    begins = min(times(i)[0] for i in fitting)
    ends = [times(i)[1] for i in fitting]
    verdict["start_off"] = (begins - start) / MINUTE
    verdict["start"] = abs(begins - start) <= slack
    if None not in ends:
        verdict["end_off"] = (max(ends) - end) / MINUTE
        verdict["end"] = abs(max(ends) - end) <= slack
    longest = max(fitting, key=lambda i: (times(i)[1] or end) - times(i)[0])
    causes = longest.get("causes") or []
    wanted = (truth.get("cause") or {}).get("reply_class")
    verdict["first_cause"] = causes[0] if causes else None
    verdict["cause"] = wanted is None or bool(causes) and causes[0].get("reply_class") == wanted
    return verdict


def solved(verdict):
    return all(verdict[criterion] for criterion in ("found", "cause", "start", "end"))


class Bench:
    """Runs the generator and pmtop for one scenario and seed."""

    def __init__(self, options):
        self.options = options
        home = Path(options.work) / "home"
        home.mkdir(parents=True, exist_ok=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PMTOP_")}
        self.env = {**kept, "XDG_CONFIG_HOME": str(home), "HOME": str(home), "TZ": "UTC"}

    @staticmethod
    def first_day(seed):
        """Another weekday and season for every seed, always in the past."""
        return datetime.date(2025, 1, 6) + datetime.timedelta(days=seed * 37 % 300)

    def commands(self, scenario, seed, work):
        days = HISTORY_DAYS + (QUIET_DAYS if scenario == "none" else 1)
        look_back = 0 if scenario == "none" else LOOK_BACK_DAYS
        since = self.first_day(seed) + datetime.timedelta(days=HISTORY_DAYS - look_back)
        tail = 0 if scenario == "none" else 1
        generate = [
            self.options.generate, "--dir", work / "logs", "--truth", work / "truth.json", "--incident", scenario,
            "--vary", "--seed", seed, "--days", days, "--tail-days", tail, "--start", self.first_day(seed),
        ]
        pmtop = [self.options.pmtop, "--catalog", work / "catalog"]
        ingest = [*pmtop, "ingest", work / "logs"]
        ask = [*pmtop, "incidents", "--format", "json", "--since", f"{since}T00:00:00Z"]
        texts = [list(map(str, command)) for command in (generate, ingest, ask)]
        return texts, moment(f"{since}T00:00:00Z")

    def run(self, scenario, seed):
        work = Path(self.options.work) / f"{scenario}-{seed}"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        commands, since = self.commands(scenario, seed, work)
        answer = ""
        for command in commands:
            done = subprocess.run(command, env=self.env, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"{shlex.join(command)}\nended with {done.returncode}: {done.stderr[-2000:]}")
            answer = done.stdout
        incidents = parse(answer)
        truth = json.loads((work / "truth.json").read_text())
        rows = sum(truth["rows_written"].values())
        if self.options.keep:
            (work / "incidents.json").write_text(json.dumps(incidents, indent=1))
        else:
            shutil.rmtree(work)
        truths = truth.get("incidents", [])
        verdicts, false, consequences = judge(truths, incidents, since)
        return {
            "scenario": scenario, "seed": seed, "rows": rows, "truths": truths, "verdicts": verdicts, "false": false,
            "consequences": consequences,
        }


def parse(text):
    """One array of objects; nothing at all is no incident."""
    incidents = json.loads(text) if text.strip() else []
    if isinstance(incidents, dict):
        incidents = incidents.get("incidents", [])
    return incidents


def describe(incident):
    start, end = times(incident)
    until = f"{end:%m-%d %H:%M}" if end else "open"
    return f"{incident['rule']} {json.dumps(scope_of(incident))} {start:%Y-%m-%d %H:%M} to {until}: {incident.get('headline', '')}"


def complain(result, reproduce):
    """The lines about what is wrong with a run, none if all is right."""
    lines = []
    for truth, verdict in zip(result["truths"], result["verdicts"]):
        if solved(verdict):
            continue
        wrong = [name for name in ("found", "cause", "start", "end") if not verdict[name]]
        lines.append(f"  {' '.join(wrong)}: wanted {truth['rule']} {json.dumps(truth['scope'])} "
                     f"{truth['from']} to {truth['to']}, {truth['affected_rows']} rows, cause {json.dumps(truth['cause'])}")
        for incident in verdict["fitting"] or verdict["near"]:
            lines.append(f"    got {describe(incident)}")
        for name in ("start_off", "end_off"):
            if verdict.get(name) is not None:
                lines.append(f"    {name.replace('_', ' ')} by {verdict[name]:+.0f} min")
        if verdict["found"] and not verdict["cause"]:
            lines.append(f"    first cause {json.dumps(verdict['first_cause'])}")
    lines += [f"  false: {describe(incident)}" for incident in result["false"]]
    if lines:
        lines.insert(0, f"{result['scenario']} seed {result['seed']}: {reproduce}")
    return lines


def table(results, out):
    """By scenario: runs, how many fulfil each criterion, all of them, false incidents, consequences, split ones, rows."""
    heads = ["scenario", "runs", "found", "cause", "start", "end", "solved", "false", "conseq.", "split", "rows"]
    print("".join(f"{head:>10}" if at else f"{head:<17}" for at, head in enumerate(heads)), file=out)
    groups = collections.defaultdict(list)
    for result in results:
        groups[result["scenario"]].append(result)
    total = collections.Counter()
    for scenario, runs in groups.items():
        verdicts = [verdict for run in runs for verdict in run["verdicts"]]
        cells = collections.Counter({name: sum(v[name] for v in verdicts) for name in ("found", "cause", "start", "end")})
        cells.update(runs=len(runs), solved=sum(map(solved, verdicts)), false=sum(len(run["false"]) for run in runs))
        cells["conseq."] = sum(run["consequences"] for run in runs)
        cells["split"] = sum(len(v["fitting"]) > 1 for v in verdicts)
        cells["rows"] = sum(run["rows"] for run in runs)
        if scenario == "none":
            row = [cells[h] if h in ("runs", "false", "rows") else "" for h in heads[1:]]
        else:
            total += cells
            row = [cells[h] for h in heads[1:]]
        print(f"{scenario:<17}" + "".join(f"{cell:>10}" for cell in row), file=out)
    if total["runs"]:
        print(f"{'all incidents':<17}" + "".join(f"{total[head]:>10}" for head in heads[1:]), file=out)
        shares = [f"{total[name] / total['runs']:.1%}" for name in ("found", "cause", "start", "end", "solved")]
        print(f"{'':<27}" + "".join(f"{share:>10}" for share in shares), file=out)
    return total


def passes(results):
    """Whether the bar is reached, and a sentence on it."""
    verdicts = [verdict for result in results for verdict in result["verdicts"]]
    share = sum(map(solved, verdicts)) / len(verdicts) if verdicts else 1.0
    quiet = [len(result["false"]) for result in results if result["scenario"] == "none"]
    worst = max(quiet, default=0)
    good = share >= BAR and worst <= MOST_FALSE
    text = f"{share:.1%} solved of {len(verdicts)} (bar {BAR:.0%}); at most {worst} false in a quiet run of {len(quiet)} (bar {MOST_FALSE})"
    return good, text


def span(text):
    """`1000-1009`, `7`, or both with commas between."""
    seeds = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        seeds += range(int(first), int(last or first) + 1)
    return seeds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pmtop", default="target/release/pmtop")
    parser.add_argument("--generate", default="target/release/examples/generate_logs")
    parser.add_argument("--seeds", type=span, default=span("1000-1002"))
    parser.add_argument("--scenarios", default=",".join(SCENARIOS))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="keep logs, catalogs, truth.json and incidents.json in this folder")
    parser.add_argument("--json", type=Path, help="write the results to this file as well")
    options = parser.parse_args()
    options.pmtop, options.generate = (str(Path(p).resolve()) for p in (options.pmtop, options.generate))
    scenarios = options.scenarios.split(",")
    unknown = set(scenarios) - set(SCENARIOS)
    if unknown:
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="judge-") as temporary:
        options.work = str((options.keep or Path(temporary)).resolve())
        sys.exit(run_all(options, scenarios))


def run_all(options, scenarios):
    bench = Bench(options)
    results, broken = [], 0
    with concurrent.futures.ThreadPoolExecutor(options.processes) as pool:
        runs = {(s, seed): pool.submit(bench.run, s, seed) for s in scenarios for seed in options.seeds}
        for (scenario, seed), run in runs.items():
            try:
                result = run.result()
            except Exception as error:
                broken += 1
                expected = isinstance(error, RuntimeError)
                print(f"{scenario} seed {seed} could not be run: {error if expected else traceback.format_exc()}")
                continue
            results.append(result)
            again = ["python", "tests/incidents/judge.py", "--scenarios", scenario, "--seeds", str(seed), "--keep", "kept"]
            for line in complain(result, shlex.join(again)):
                print(line)
            sys.stdout.flush()
    print()
    table(results, sys.stdout)
    good, text = passes(results)
    print(text)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1, default=str))
    if broken:
        print(f"{broken} runs could not be run")
        return 2
    return 0 if good else 1


if __name__ == "__main__":
    main()

//! Documents that are made from tables are current: `UPDATE=1 cargo test documents` writes them anew.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use pmtop::config::Config;
use pmtop::query::field::FIELDS;
use pmtop::report::{metrics, risk};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn assert_current(name: &str, text: &str) {
    let path = path(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "{name} is not current; run UPDATE=1 cargo test documents");
}

#[test]
fn the_example_configuration_holds_every_key_with_its_default() {
    let text = std::fs::read_to_string(path("config.example.toml")).unwrap();
    let example = Config::parse(&text, Path::new("config.example.toml")).unwrap();
    assert_eq!(example, Config::default());
    let example: toml::Table = text.parse().unwrap();
    let defaults: toml::Table = Config::default().print().unwrap().parse().unwrap();
    for (key, value) in &defaults {
        // The catalog's default depends on the user's home.
        if key == "catalog" {
            assert!(text.contains("# catalog = "));
            continue;
        }
        let found = example.get(key).unwrap_or_else(|| panic!("`{key}` is not in the example"));
        for inner in value.as_table().into_iter().flat_map(toml::Table::keys) {
            assert!(found.get(inner).is_some(), "`{key}.{inner}` is not in the example");
        }
    }
}

#[test]
fn the_reports_are_documented() {
    let mut text = String::from(
        "# Reports\n\n\
         `pmtop report NAME [--by FIELD] [--bucket minute|quarter|hour|day] [--compare WITH] [filters]`, as `--format table|csv|json|md`.\n\
         JSON is one array of flat objects (`totals`: one object, latency and bounces nested). What was never logged in the\n\
         scope is null, and `totals` says why under `unavailable`. Made from the tables in `src/report` by a test.\n\n\
         | report | rows | order |\n|---|---|---|\n\
         | `totals` | one: the scope (`from`, `to`: its bounds, or those of all events) and every metric | |\n\
         | `operations` | by field, by time (`bucket`), by both, or one | `sent`, greatest first; with `--bucket` by time |\n\
         | `latency` | by field (default `domain`); with `latency_deviation` (p95 over p95 of what is compared with, else of the period before), `top_reply_class`, `top_reply_class_n`, and for each rate-blocking reply class `rb_events_CLASS` and `rb_frequency_CLASS` (per 1,000, as `rb_frequency`) | p95, greatest first, rows of fewer than `query.min_n` behind the others |\n\
         | `domains` | by `domain` or `provider`; columns as `latency` | `sent`, greatest first |\n\
         | `risk` | by `user` (default), `job`, `sender`, `sender-domain`, `source-ip`, `vmta`, `domain`, `provider`; with the score and its terms | `risk_score`, greatest first |\n\
         | `jobs`, `users`, `senders` | `operations` by that field | `sent`, greatest first |\n\
         | `replies` | replies grouped by what they say: `reply`, `n`, `reply_class`, `provider`, `first`, `last`, `example`, `reply_pattern`; what it means (below) | `n`, greatest first |\n\
         | `heatmap` | the leading values of a field (default `domain`; 20, or `--limit`) by time (`bucket`, by default as wide as makes a readable chart), every metric | rows of the value, greatest first; then time |\n\
         | `distribution` | by `measure` (`delivery`, `attempt`) and span of latency, `from_ms` (inclusive) to `to_ms`: `n`, `share`, `cumulative_share` | as said |\n\
         | `percentiles` | by `measure` and `share`: of so many of the fastest (`n`) the mean `avg_ms` and the slowest `max_ms` | as said |\n\
         | `rates` | by `measure` (`recipients`: delivered + bounced, `delivered`, `bytes` delivered) and span (`minutes`: 1, 5, 60): where the busiest begins (`bucket`; spans begin at any minute), `n` in it, `per_minute` | as said |\n\
         | `categories` | bounces by `bounce_category`, `reply` (what differs from message to message gone; the status where there was no reply) and `bounce_class`, with `--by` a field beside: `n`, `share` of all, `n_4xx`, `n_5xx` by status, `example` | `n`, greatest first |\n\
         | `changes` | by `field`, `value` and `metric` what changed: `now`, `before`, `change`, `n`, `n_before`, `weight` (below) | `weight`, greatest first |\n\
         | `coverage` | by hour (`bucket`) and `event_type`: `rows`, `quarters` of the hour that hold some, `first` and `last` of these, `files` whose time reaches into the hour, `rejected_rows` of the files that begin in it, `merged_rows` that count as events of another file. Hours without rows between the oldest event and the newest (or `--until`) have 0; a type that was never logged has one row without an hour | by time |\n\n\
         `--sort COLUMN` (or `COLUMN:asc`) and `--limit N` change order and length.\n\n\
         `pmtop export VIEW` writes any of these, `events`, `files`, or a panel as its tab asks it, in its order: `health`, `outcomes`,\n\
         `providers`; `latency-trend`, `latency-heatmap`, `latency-slowest`; `domain-replies`; `risk-jobs`, `complaints`, `bounces`,\n\
         `rate-blocking`. Other panels have the name of the report that they show. `--by` takes the fields that `v` leads to.\n\n\
         ## Compare\n\n\
         `--compare before` (the period of equal length just before), `week` (the same time a week before) or `FROM..UNTIL` puts\n\
         `<name>_before` and `<name>_change` behind every row, for each number but bounds and denominators of rates. A change is a\n\
         difference, of rates too. A row of which there was nothing then, or is nothing now, counts as 0; before the first log there is no\n\
         number. Rows that were there only before follow behind the others. Buckets of time are paired from the beginning of both ranges. `--sort sent_change`\n\
         sorts by change. In JSON of `totals` they stand flat at the end, behind `compared_with`.\n\n\
         ## Changes\n\n\
         Looked at are providers, VMTAs, source IPs, jobs and users, and all mail (`field` = `all`). A rate has changed where the Wilson intervals\n\
         do not touch, the 95th percentile of latency where its intervals do not touch and it is 1.5 times as great or small, volume where\n\
         it is twice or half of what the growth of all mail says. Both sides need `query.min_n` rows. `weight` is the number of messages that went\n\
         otherwise than usual × the share of the whole change that the value holds beyond its share of all mail × what a message counts\n\
         (deferral or slow delivery 1, bounce 3, complaint 100, volume 0.2, of jobs and users 0.02). A value that merely follows all mail (less than 5 % beyond its share) is left out.\n\
         Compared is with the period before unless `--compare` says otherwise.\n\n\
         ## Replies\n\n\
         `scope` is what a reply is held against (`ip`, `domain`, `content`, `recipient`, `configuration`, `remote`), `meaning` and `advice` are a\n\
         sentence each, `blocklist` is the list that it names and `listed_ip` the address that the example complains about. The class was given when\n\
         the row came in; `pmtop reply TEXT` tells what the catalogue says now, rules of the configuration (`[[replies]]`) first. `first_seen` is when the words were first seen\n\
         of this provider, whatever the scope: in all events that the catalog holds. `new`: they were not there when the screen was last left (null before the first visit).\n\
         `trend` is `n` in 24 equal parts of the time range. With `--compare` `n_before` and `n_change` stand behind.\n\n\
         ## Complaints and remote bounces\n\n\
         They count when they are reported, under the job, user, sender, VMTA, pool and source IP of the delivery that they are about: in\n\
         groups and filters of every report, of `events`, of exports and on the screen. The delivery is found by message id and recipient, then by job\n\
         and recipient, then by the custom header, then by sender and recipient within `journey.window_hours`; the first key that leaves one message\n\
         wins, and what both rows say must not differ. A sender of its own for each message (VERP) stands for a recipient that the report\n\
         leaves out. Recipient, domain and provider stay the report's own where it has them. A report of which no delivery or several are\n\
         found stands under what it says itself; `complaints_unattributed` counts those complaints. A filter on `type` or `file` that leaves\n\
         deliveries out gives what a catalog of the rest would give: reports say no more than their own cells. `pmtop sql` and other programs read\n\
         rows as they were logged. Days whose rows have left, or that wait for their packs, count reports as they were logged, too.\n\n\
         ## Journey\n\n\
         `pmtop journey ID|RECIPIENT [--limit N] [filters]` follows a message id, an envelope id, or all messages of a recipient, newest first;\n\
         exit code 1 if there are none. JSON: one array of messages with `key` (the weakest that holds it together: `message_id`, `job_id`,\n\
         `custom_header`, `window`), `message_id`, `env_id`, `recipient`, `job`, `user`, `sender`, `provider`, `ambiguous` and `events`: each with\n\
         `time`, `kind`, `record_type`, `attempt`, `vmta`, `vmta_pool`, `source_ip`, `dsn_mta`, `smtp_status`, `reply`, `reply_class`,\n\
         `bounce_class`, `latency_ms`, `size_bytes`, `key`, `ambiguous`, `candidates`, `file_id`, `row_number`. CSV and Markdown have a row an event.\n\n\
         ## What `pmtastats` prints\n\n\
         | pmtastats | here |\n|---|---|\n\
         | bounce-categories, with 4.X.X and 5.X.X apart, by reason, by domain, by both | `categories`, `categories --by domain`, `operations --by bounce-category` |\n\
         | delivery-times: fastest 50 … 100 % | `percentiles` |\n\
         | delivery-times: histogram, cumulative | `distribution` |\n\
         | message-counts | `totals` |\n\
         | top-bounce | `categories --by domain` |\n\
         | top-domains by recipients, bounces, average delivery time | `domains`, `domains --sort bounced_total`, `domains --sort latency_delivery_avg_ms` |\n\
         | top-rates over 1 minute, 5 minutes, 1 hour, and in bytes | `rates` |\n\
         | vmta-summary | `operations --by vmta`, `operations --by source-ip --vmta NAME` |\n\
         | vmta-time-breakdown, daily, hourly | `operations --by vmta --bucket day`, `--bucket hour` |\n\
         | vmta-top-bounce | `categories --by vmta` |\n\n\
         ## Metrics\n\n\
         | column | needs | meaning |\n|---|---|---|\n",
    );
    for metric in metrics::all() {
        let needs: Vec<String> = pmtop::event::RecordType::ALL
            .iter()
            .filter(|record| metric.needs & (1 << record.index()) != 0)
            .map(|record| format!("`{record}`"))
            .collect();
        writeln!(text, "| `{}` | {} | {} |", metric.name, needs.join(" "), metric.about).unwrap();
    }
    text += "\n`needs`: one of these record types must have been logged on the days of the scope, else the number is n/a.\n\n\
             ## Risk\n\n";
    writeln!(
        text,
        "`risk_score`, 0 to 100, is the sum of its terms. Each is its weight times the lower end of a rate's Wilson interval over the\n\
         critical rate, at most the weight. Hits and denominators of the score are weighted by age: after {} days mail counts half. Mail is\n\
         as old as its hour before the newest in ranges up to two days, else as its day (UTC). Everyone is credited with clean rows, and a\n\
         rate beyond {} times the critical one counts as that, since many complaints about few messages are about mail sent before. All\n\
         other columns count each row once.\n\n| column | weight | credited rows | meaning |\n|---|---:|---:|---|",
        risk::HALF_LIFE / pmtop::query::time::DAY,
        risk::MOST,
    )
    .unwrap();
    for term in risk::TERMS {
        writeln!(text, "| `{}` | {} | {} | {} |", term.name, term.weight, term.credit, term.about).unwrap();
    }
    text += "\n`forecast_at` says when the rate over the whole range crosses its limit if mail goes on, from the end of the range, with the rate\n\
             and the pace of its last quarter (at most six hours, or two days in ranges of more than two days). `forecast_low_at` and\n\
             `forecast_high_at` take the two ends of that rate's Wilson interval instead; the latter is empty where the limit may never be\n\
             crossed. Empty, too: below 5 recent hits or 200 rows, beyond a week, and where the limit is crossed already. `forecast_metric`\n\
             says which it is, the first of these; `forecast` is the same in a sentence.\n\n| `forecast_metric` | limit |\n|---|---:|\n";
    for limit in risk::LIMITS {
        writeln!(text, "| `{}` | {} % |", limit.name, (limit.limit * 1e4).round() / 100.0).unwrap();
    }
    text += "\n## Filters\n\nEach is a flag (`--domain gmail.com`) and a chip on the screen (`domain=gmail.com`). Several values of one are ORed, `!value` excludes,\n`*` is a wildcard. Those that rollups carry are answered without reading rows.\n\n| filter | column | groups | in rollups | meaning |\n|---|---|---|---|---|\n";
    for field in FIELDS {
        let mark = |yes: bool| if yes { "yes" } else { "" };
        writeln!(
            text,
            "| `{}` | `{}` | {} | {} | {} |",
            field.name(),
            field.column_name(),
            mark(field.groups()),
            mark(field.in_rollup()),
            field.help()
        )
        .unwrap();
    }
    assert_current("docs/reports.md", &text);
}

#[test]
fn the_rules_are_documented() {
    let mut text = String::from(
        "# Rules and incidents\n\n\
         A rule is a short file in `assets/rules`. It counts what speaks against somebody (*hits*) of so many rows (*of*), by quarter of\n\
         an hour of log time, for every set of fields it names. What is usual is taken from the 28 days before and from the same hour of\n\
         up to eight weeks, whichever is more; days that come later are never looked at. A catalog younger than a week is\n\
         *learning*: lasting things (providers, addresses, pools) are measured by their own quieter hours, jobs and users by all mail; volumes need\n\
         three weeks, new replies one. Every incident says what its baseline was taken from (`basis`).\n\n\
         A stretch of time is trouble when it is e¹⁶ times likelier at the raised level than at the usual one (CUSUM), when the lower end of the\n\
         rate's Wilson interval (95 %) reaches `warn`, when the rate is `times_base` times the usual, and when there are `min_hits` hits of `min_of`\n\
         rows. It is over after the quiet time, or when the score has fallen back. Of scopes that overlap the one stands whose rows stand out most;\n\
         of the others only what is trouble without its rows. Slow and missing mail within three hours of a throttling, a block, an authentication failure or an outage of\n\
         the same mail is its consequence, no incident, nor is mail slow that was put off: what deferrals explain is told by the rules on them.\n\n\
         Verdicts depend on the rows alone: they are the same whether files come in order, late or at once, and each commit asks only\n\
         about whoever it touched. Thresholds of complaints and bounces follow what receivers and large senders publish\n\
         (0.1–0.3 %; 2, 5, 10 %); those of deferrals and latency are pmtop's own, since public evidence is weak.\n\n\
         `pmtop incidents tune RULE --warn …` replays a rule with other thresholds over all history; so does `T` on an incident. In the configuration:\n\n\
         ```toml\n\
         [rules.provider-throttling]\n\
         warn = 0.08\n\
         [[rules.provider-throttling.only]]   # for some mail only; `*` is a wildcard\n\
         provider = \"Yahoo\"\n\
         warn = 0.15\n\
         [rules.volume-drop]\n\
         enabled = false\n\
         ```\n\n\
         | rule | about | scopes | warn | high | critical | × usual | hits | of | quiet |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for rule in pmtop::insight::rule::Rule::all(&std::collections::BTreeMap::new()).unwrap() {
        let limits = rule.thresholds();
        let scopes: Vec<String> = rule
            .scopes
            .iter()
            .map(|fields| if fields.is_empty() { "all mail".to_owned() } else { fields.join(" × ") })
            .collect();
        writeln!(
            text,
            "| `{}` | {} | {} | {} | {} | {} | {} | {} | {} | {} min |",
            rule.id,
            rule.title,
            scopes.join(", "),
            limits.warn,
            limits.high,
            limits.critical,
            limits.times_base,
            limits.min_hits,
            limits.min_of,
            rule.quiet_minutes,
        )
        .unwrap();
    }
    text.push_str(
        "\nRates are fractions; `latency-anomaly` counts deliveries slower than three times the p95 that mail usually has that\n\
         is not put off, `volume-drop` is a share of \
         the usual volume (below is bad), `volume-spike` times the busiest\n\
         quarter of an hour of the four weeks before, `new-reply` and `known-code` rows within an hour, `ingest-silence` times the usual gap between files, by the wall clock.\n\n\
         ## Incidents\n\n\
         `pmtop incidents --format json` prints one array, the newest first; times are ISO, UTC:\n\n\
         | key | is |\n|---|---|\n\
         | `id` | its name, the same for as long as it is found |\n\
         | `rule`, `severity`, `state` | `warn`, `high`, `critical`; `open`, `acknowledged`, `silenced`, `resolved` |\n\
         | `opened_at`, `closed_at` | the first and the last row against it, by log time; `closed_at` is null while it goes on |\n\
         | `scope` | field → value; empty: all mail |\n\
         | `headline` | one line |\n\
         | `value`, `baseline`, `basis` | a rate (latency: milliseconds), what is usual, and what that was taken from |\n\
         | `hits`, `of` | rows against it, of so many |\n\
         | `causes` | by class of reply, the likeliest first: `cause`, `reply_class`, `status`, `reply` (template), `blocklist`, `advice`, `share`, `rows` |\n\
         | `evidence` | `rows`, and `filters` that find them within its time and scope |\n\
         | `notes`, `silenced_until` | what people did |\n\
         | `reopened` | how often it went on again after it had ended |\n\n\
         In SQL they are the table `incidents`, as rules last found them. They are kept in `incidents.db` beside the catalog's control database.\n",
    );
    assert_current("docs/rules.md", &text);
}

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
         `pmtop report NAME [--by FIELD] [--bucket minute|quarter|hour|day] [filters]`, as `--format table|csv|json|md`.\n\
         JSON is one array of flat objects (`totals`: one object, latency and bounces nested). What was never logged in the\n\
         scope is null, and `totals` says why under `unavailable`. Made from the tables in `src/report` by a test.\n\n\
         | report | rows | order |\n|---|---|---|\n\
         | `totals` | one: the scope (`from`, `to`: its bounds, or those of all events) and every metric | |\n\
         | `operations` | by field, by time (`bucket`), by both, or one | `sent`, greatest first; with `--bucket` by time |\n\
         | `latency` | by field (default `domain`); with `latency_deviation`, `top_reply_class`, `top_reply_class_n` | p95, greatest first, rows of fewer than `query.min_n` behind the others |\n\
         | `domains` | by `domain` or `provider`; columns as `latency` | `sent`, greatest first |\n\
         | `risk` | by `user` (default), `job`, `sender`, `sender-domain`, `source-ip`, `vmta`, `domain`, `provider`; with the score and its terms | `risk_score`, greatest first |\n\
         | `jobs`, `users`, `senders` | `operations` by that field | `sent`, greatest first |\n\
         | `replies` | replies grouped by what they say: `reply`, `n`, `reply_class`, `provider`, `first`, `last`, `example`, `reply_pattern` | `n`, greatest first |\n\n\
         `--sort COLUMN` (or `COLUMN:asc`) and `--limit N` change order and length.\n\n## Metrics\n\n\
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
             ## Risk\n\nThe score is the sum of its terms. Each is its weight times the lower end of a rate's Wilson interval over the\n\
             critical rate; everyone is credited with 50 clean rows.\n\n| column | weight | meaning |\n|---|---:|---|\n";
    for term in risk::TERMS {
        writeln!(text, "| `{}` | {} | {} |", term.name, term.weight, term.about).unwrap();
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

//! Who may import whom: the table is complete and each row names only rows above it, so there is no way
//! round in a circle. Foreign crates are fenced to the modules that own them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Module → what it may import, from the bottom up.
const TABLE: &[(&str, &[&str])] = &[
    ("text", &[]),
    ("event", &[]),
    ("reply", &["event"]),
    ("config", &["event", "reply"]),
    ("inbox", &["config"]),
    ("catalog", &["event", "config", "reply"]),
    ("ingest", &["text", "event", "config", "reply", "inbox", "catalog"]),
    ("query", &["text", "event", "config", "reply", "catalog"]),
    ("journey", &["text", "event", "catalog", "query"]),
    ("dashboard", &["query"]),
    ("report", &["text", "event", "reply", "catalog", "query"]),
    ("insight", &["text", "event", "config", "catalog", "reply", "query", "report"]),
    ("export", &["text", "event", "catalog", "query", "report"]),
    ("hook", &["text", "event", "config", "catalog", "query", "insight"]),
    ("prom", &["text", "event", "config", "catalog", "query", "report", "insight"]),
    ("app", &["text", "event", "config", "query", "journey", "dashboard", "ingest", "insight"]),
    ("ui", &["text", "event", "config", "query", "journey", "dashboard", "ingest", "insight", "app"]),
    (
        "runtime",
        &[
            "text",
            "event",
            "config",
            "reply",
            "inbox",
            "catalog",
            "ingest",
            "query",
            "journey",
            "dashboard",
            "report",
            "insight",
            "export",
            "hook",
            "prom",
            "app",
            "ui",
        ],
    ),
    (
        // The inbox: `doctor` tries whether its folders can be watched. The runtime: its store knows the last visit.
        "cli",
        &[
            "text",
            "event",
            "reply",
            "config",
            "inbox",
            "catalog",
            "ingest",
            "query",
            "journey",
            "dashboard",
            "report",
            "insight",
            "export",
            "hook",
            "prom",
            "app",
            "runtime",
        ],
    ),
    ("screen", &["text", "event", "config", "catalog", "ingest", "query", "insight", "app", "runtime", "cli"]),
    ("demo", &[]),
    ("demo_day", &["event", "config", "catalog", "ingest", "query", "report", "insight", "screen", "demo", "cli"]),
];

/// Crate → the modules that may name it.
const FENCES: &[(&str, &[&str])] = &[
    ("datafusion", &["catalog", "query"]),
    ("arrow", &["event", "catalog", "ingest", "query"]),
    ("parquet", &["catalog"]),
    ("rusqlite", &["catalog"]),
    ("object_store", &["catalog"]),
    ("ratatui", &["ui", "config", "runtime"]),
    ("crossterm", &["runtime"]),
    ("tui_input", &["app", "ui"]),
    ("notify", &["inbox"]),
    ("clap", &["cli", "report"]),
    ("tokio", &["runtime", "query", "cli", "screen"]),
    ("sha2", &["ingest"]),
    ("ureq", &["hook"]),
];

fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push(path);
        }
    }
}

/// Every source file with its module and its text without tests.
fn files() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    paths
        .into_iter()
        .map(|path| {
            let relative = path.strip_prefix(&root).unwrap();
            let first = relative.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
            let module = first.trim_end_matches(".rs").to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
            (module, path, code)
        })
        .filter(|(module, _, _)| module != "lib" && module != "main")
        .collect()
}

/// The modules named after `crate::`, grouped imports included.
fn imported(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for (at, _) in line.match_indices("crate::") {
            let before = line[..at].chars().next_back();
            if before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_') {
                continue;
            }
            let rest = &line[at + "crate::".len()..];
            let inside = rest.strip_prefix('{').and_then(|rest| rest.split('}').next());
            for name in inside.map_or_else(|| vec![rest], |names| names.split(',').collect()) {
                let name: String =
                    name.trim().chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
                if !name.is_empty() {
                    found.insert(name);
                }
            }
        }
    }
    found
}

#[test]
fn the_table_has_no_circle() {
    let mut above: Vec<&str> = Vec::new();
    for (module, imports) in TABLE {
        for import in *imports {
            assert!(above.contains(import), "{module} imports {import}, which stands below it");
        }
        above.push(module);
    }
}

#[test]
fn modules_import_only_what_the_table_allows() {
    for (module, path, code) in files() {
        let (_, allowed) =
            TABLE.iter().find(|row| row.0 == module).unwrap_or_else(|| panic!("{module} is not in the table"));
        for import in imported(&code) {
            let fine = import == module || allowed.contains(&import.as_str());
            assert!(fine, "{}: `{module}` must not import `{import}`", path.display());
        }
    }
}

/// Whether a line names a crate: `arrow::…` as a word of its own and not as part of a path.
fn names(line: &str, foreign: &str) -> bool {
    line.match_indices(&format!("{foreign}::")).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_' || letter == ':')
    })
}

#[test]
fn foreign_crates_stay_behind_their_fences() {
    for (module, path, code) in files() {
        for (foreign, owners) in FENCES {
            let named =
                code.lines().filter(|line| !line.trim_start().starts_with("//")).any(|line| names(line, foreign));
            assert!(
                !named || owners.contains(&module.as_str()),
                "{}: `{foreign}` is fenced to {owners:?}",
                path.display()
            );
        }
    }
}

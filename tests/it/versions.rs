//! Catalogs of other versions of pmtop.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pmtop::catalog::fsck::fsck;
use pmtop::catalog::{Catalog, Error};

use crate::support::Desk;

/// Every file below a folder with its content, but for memory that processes share.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                found.insert(entry.path(), fs::read(entry.path()).unwrap());
            }
        }
    }
    found
}

/// The version that the header of an SQLite database says its user gave it: four bytes from 60 on.
fn set_version(path: &Path, version: u32) {
    let mut bytes = fs::read(path).unwrap();
    bytes[60..64].copy_from_slice(&version.to_be_bytes());
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_catalog_of_a_newer_pmtop_is_refused_and_left_as_it_is() {
    let desk = Desk::new();
    desk.ingest("acct.csv", "type,timeLogged,rcpt\nd,2026-11-23 10:00:00+0000,a@b.example\n");
    let Desk { folder, config, engine } = desk;
    drop(engine);
    set_version(&config.catalog.join("control.db"), 99);
    let before = files(&config.catalog);
    let Err(Error::Newer { found, .. }) = Catalog::open(&config.catalog) else { panic!("it was opened") };
    assert_eq!(found, 99);
    let text = Catalog::open(&config.catalog).unwrap_err().to_string();
    assert!(text.contains("newer pmtop") && text.contains("update"), "{text}");
    assert!(fsck(&config.catalog, true).is_err(), "a repair would write into it");
    let after = files(&config.catalog);
    let changed: Vec<&PathBuf> = before.keys().filter(|path| before.get(*path) != after.get(*path)).collect();
    assert!(changed.is_empty(), "{changed:?}");
    drop(folder);
}

/// A catalog as version 1 of the tables wrote it (`tests/fixtures/README.md`).
#[test]
fn a_catalog_of_version_1_is_opened_counted_and_gone_on_with() {
    let desk = Desk::new();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/catalog-v1.zip");
    let root = desk.path("old");
    zip::ZipArchive::new(fs::File::open(from).unwrap()).unwrap().extract(&root).unwrap();
    let config = pmtop::config::Config { catalog: root.clone(), ..pmtop::config::Config::default() };
    let engine = pmtop::cli::engine(&config).unwrap();
    let old = Desk { folder: tempfile::tempdir().unwrap(), config, engine };
    let counts = || {
        let kinds = ["delivered", "bounced", "deferred", "complaint"];
        let of = |kind| old.count(&format!("select count(*) from events where kind = '{kind}'"));
        (kinds.map(of), old.count("select count(*) from copies"))
    };
    assert_eq!(counts(), ([12, 6, 4, 2], 6));
    let totals = old.totals(&[]);
    for (metric, wanted) in [("delivered", 12), ("deferrals", 4), ("complaints", 2), ("merged_duplicates", 6)] {
        assert_eq!(totals[metric], wanted, "{metric}");
    }
    assert_eq!(fsck(&root, false).unwrap(), []);
    // The bounce file goes: what it had shadowed is there, and the rest goes on.
    let bounce = old.catalog().files().unwrap().into_iter().find(|file| file.name == "bounce.csv").unwrap();
    pmtop::catalog::commit::remove_file(old.catalog(), bounce.id, 0).unwrap();
    assert_eq!(counts(), ([12, 6, 4, 2], 0));
    old.ingest("acct-more.csv", "type,timeLogged,rcpt\nd,2026-11-24 10:00:00+0000,new@b.example\n");
    assert_eq!(counts().0, [13, 6, 4, 2]);
    old.catalog().control(|control| control.publish()).unwrap();
    assert_eq!(fsck(&root, false).unwrap(), []);
}

//! What a crash leaves is undone at the next start: claims of dead processes, unfinished files, files that
//! no commit names. Whatever a living process may still need is left alone.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use super::commit::lock_of;
use super::control::Control;
use super::layout::{Folders, Layout};
use super::locks::Lock;
use super::{Catalog, Result, delta};
use crate::event::Micros;

/// Undoes what dead processes left behind.
pub fn recover(layout: &Layout, control: &Control) -> Result<()> {
    // A file's reader holds its lock; a lock that is free belongs to the dead.
    for id in control.being_read()? {
        let lock = layout.lock(&format!("file-{id}"));
        if let Ok(Some(_lock)) = Lock::attempt(&lock) {
            control.interrupt(id)?;
            fs::remove_file(lock).ok();
        }
    }
    sweep_logs(layout);
    let mut crashed = false;
    for folder in staging_folders(layout)? {
        if let Ok(Some(_lock)) = Lock::attempt(&lock_of(&folder)) {
            crashed = true;
        }
    }
    // Files get into place only under the commit lock, and while their staging folder is there: without a
    // dead one there is nothing to look for.
    if crashed && let Some(_commit) = Lock::attempt(&layout.lock("commit"))? {
        let named = control.all_paths()?;
        for table in ["events", "copies", "rollups", "keys/events", "keys/copies"] {
            sweep(layout, Path::new(table), &named);
        }
        for folder in staging_folders(layout)? {
            if let Ok(Some(_lock)) = Lock::attempt(&lock_of(&folder)) {
                fs::remove_dir_all(&folder).ok();
                fs::remove_file(lock_of(&folder)).ok();
            }
        }
    }
    // A process may also have died between its lock and its folder.
    for path in fs::read_dir(layout.staging())?.flatten().map(|entry| entry.path()) {
        let alone = path.extension().is_some_and(|end| end == "lock") && !path.with_extension("").exists();
        if alone && let Ok(Some(_lock)) = Lock::attempt(&path) {
            fs::remove_file(&path).ok();
        }
    }
    Ok(())
}

fn staging_folders(layout: &Layout) -> Result<Vec<std::path::PathBuf>> {
    let entries = fs::read_dir(layout.staging())?.flatten();
    Ok(entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect())
}

/// Removes the Parquet files below a folder that the control database does not know.
fn sweep(layout: &Layout, folder: &Path, named: &HashSet<String>) {
    let Ok(entries) = fs::read_dir(layout.root().join(folder)) else { return };
    for entry in entries.flatten() {
        let relative = folder.join(entry.file_name());
        if entry.file_name() == "_delta_log" {
            continue;
        }
        if entry.path().is_dir() {
            sweep(layout, &relative, named);
        } else if let Some(name) = relative.to_str()
            && name.ends_with(".parquet")
            && !named.contains(name.strip_prefix("keys/").unwrap_or(name))
        {
            fs::remove_file(entry.path()).ok();
        }
    }
}

/// Removes unfinished log entries. One that a living process is writing is written again by the next commit or start.
fn sweep_logs(layout: &Layout) {
    for table in delta::TABLES {
        let Ok(entries) = fs::read_dir(delta::log_folder(layout.root(), table)) else { continue };
        for entry in entries.flatten().filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b".tmp-")) {
            fs::remove_file(entry.path()).ok();
        }
    }
}

/// Deletes segments and rollups that have left the catalog: those that no reader has pinned and that went
/// before a moment (readers of the published table need some time to notice). How many went.
pub fn delete_removed(catalog: &Catalog, before: Micros) -> Result<usize> {
    let layout = catalog.layout();
    // Held by whoever is about to pin what is visible now.
    let Some(_gate) = Lock::attempt(&layout.lock("pinning"))? else { return Ok(0) };
    let mut oldest = catalog.control(|control| control.generation())?;
    for entry in fs::read_dir(layout.pins())?.flatten() {
        let pinned = entry.file_name().to_str().and_then(|name| name.split('-').next()?.parse::<u64>().ok());
        match Lock::attempt(&entry.path()) {
            Ok(Some(_dead)) => {
                fs::remove_file(entry.path()).ok();
            }
            Ok(None) | Err(_) => oldest = oldest.min(pinned.unwrap_or(0)),
        }
    }
    let paths = catalog.control(|control| control.removed_paths(oldest, before))?;
    let mut folders = Folders::default();
    for path in &paths {
        folders.remove(&layout.absolute(path));
        folders.remove(&layout.absolute(&format!("keys/{path}")));
    }
    // What is forgotten must be gone for good.
    folders.sync()?;
    catalog.control(|control| control.forget(&paths))?;
    Ok(paths.len())
}

//! Every path on disk, built here and nowhere else; folders are 0700 and files 0600 (SPEC §12).

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The name that Hive-style readers use for "no value".
pub const NO_DATE: &str = "__HIVE_DEFAULT_PARTITION__";

/// The catalog's folder.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout below a folder; creates what is missing.
    pub fn create(root: &Path) -> io::Result<Self> {
        let layout = Self { root: std::path::absolute(root)? };
        let mut folders = Folders::default();
        for folder in ["", "locks", "pins", "staging", "events", "copies", "keys", "rollups", "packs", "rejects"] {
            folders.make(&layout.root.join(folder))?;
        }
        folders.sync()?;
        Ok(layout)
    }

    /// The layout below a folder as it is; nothing is created.
    pub fn at(root: &Path) -> io::Result<Self> {
        Ok(Self { root: std::path::absolute(root)? })
    }

    /// The catalog's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The control database.
    pub fn control(&self) -> PathBuf {
        self.root.join("control.db")
    }

    /// The incidents' database.
    pub fn incidents(&self) -> PathBuf {
        self.root.join("incidents.db")
    }

    /// A lock file by name.
    pub fn lock(&self, name: &str) -> PathBuf {
        self.root.join("locks").join(name)
    }

    /// Which generations are being read.
    pub fn pins(&self) -> PathBuf {
        self.root.join("pins")
    }

    /// The kind of network filesystem that the catalog is on, if it is on one.
    pub fn network(&self) -> io::Result<Option<&'static str>> {
        // `statfs(2)`; the numbers are those of linux/magic.h and of the filesystems' own sources.
        const KINDS: [(u32, &str); 12] = [
            (0x0000_6969, "NFS"),
            (0x0000_517b, "SMB"),
            (0xfe53_4d42, "SMB"),
            (0xff53_4d42, "CIFS"),
            (0x0102_1997, "9P"),
            (0x00c3_6400, "Ceph"),
            (0x5346_414f, "AFS"),
            (0x6b41_4653, "AFS"),
            (0x7375_7245, "Coda"),
            (0x0bd0_0bd0, "Lustre"),
            (0x4750_4653, "GPFS"),
            (0x1983_0326, "BeeGFS"),
        ];
        const FUSE: u32 = 0x6573_5546;
        let kind = filesystem(&self.root)?;
        if kind == FUSE {
            let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
            return Ok(is_network_mount(&mounts, &self.root).then_some("FUSE"));
        }
        Ok(KINDS.iter().find(|(number, _)| *number == kind).map(|(_, name)| *name))
    }

    /// Where unfinished files are written.
    pub fn staging(&self) -> PathBuf {
        self.root.join("staging")
    }

    /// Rows that could not be read, one file a log file.
    pub fn rejects(&self) -> PathBuf {
        self.root.join("rejects")
    }

    /// A path of the catalog, given relative to its root.
    pub fn absolute(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }
}

/// The number by which the kernel knows a filesystem.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the numbers have 32 bits")]
fn filesystem(path: &Path) -> io::Result<u32> {
    Ok(rustix::fs::statfs(path)?.f_type as u32)
}

/// Whether a path is on a FUSE mount that reaches over a network, given the lines of `/proc/self/mounts`.
fn is_network_mount(mounts: &str, path: &Path) -> bool {
    const NETWORK: [&str; 9] =
        ["sshfs", "s3fs", "rclone", "glusterfs", "curlftpfs", "davfs", "gcsfuse", "mount-s3", "juicefs"];
    let found = mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            Some((words.next()?, words.next()?))
        })
        .filter(|(place, _)| path.starts_with(place))
        .max_by_key(|(place, _)| place.len());
    found.is_some_and(|(_, kind)| NETWORK.iter().any(|name| kind.contains(name)))
}

/// `date=…/event_type=…` of a partition.
pub fn partition(date: Option<i32>, role: &str) -> String {
    format!("{}/event_type={role}", date_folder(date))
}

/// `date=…` of a day (days since 1970).
pub fn date_folder(date: Option<i32>) -> String {
    let name = date
        .and_then(|days| chrono::DateTime::from_timestamp(i64::from(days) * 86_400, 0))
        .map_or_else(|| NO_DATE.to_owned(), |day| day.format("%Y-%m-%d").to_string());
    format!("date={name}")
}

/// Creates a folder and its parents with mode 0700.
pub fn make_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Creates a file with mode 0600; it must not exist.
pub fn create_new(path: &Path) -> io::Result<File> {
    fs::OpenOptions::new().write(true).read(true).create_new(true).mode(0o600).open(path)
}

/// Makes a folder's entries durable.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Folders whose entries have changed and are not yet durable.
#[derive(Debug, Default)]
pub struct Folders {
    changed: std::collections::BTreeSet<PathBuf>,
}

impl Folders {
    /// Renames a durable file into place; the name is durable after [`Folders::sync`].
    pub fn publish(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        if let Some(folder) = to.parent() {
            self.make(folder)?;
            self.changed.insert(folder.to_owned());
        }
        fs::rename(from, to)
    }

    /// Removes a file, if it is there; that it is gone is durable after [`Folders::sync`].
    pub fn remove(&mut self, path: &Path) {
        if fs::remove_file(path).is_ok() {
            self.changed.extend(path.parent().map(Path::to_owned));
        }
    }

    /// Creates a folder and its parents, as far as they are missing.
    pub fn make(&mut self, folder: &Path) -> io::Result<()> {
        let mut missing = folder;
        while !missing.exists() {
            let Some(parent) = missing.parent() else { break };
            self.changed.insert(parent.to_owned());
            missing = parent;
        }
        make_dir(folder)
    }

    /// Makes the names durable, with the folders that were new.
    pub fn sync(self) -> io::Result<()> {
        self.changed.iter().rev().try_for_each(|folder| sync_dir(folder))
    }
}

/// Renames a durable file into place and makes the name durable, with the folders that were new.
pub fn publish(from: &Path, to: &Path) -> io::Result<()> {
    let mut folders = Folders::default();
    folders.publish(from, to)?;
    folders.sync()
}

/// Writes a file whole or not at all: a temporary file beside it, made durable, then renamed.
pub fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    write(file.as_file_mut())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_dir(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_over_the_network_is_told_from_a_local_one() {
        let mounts = "/dev/sda1 / ext4 rw 0 0\nme@host: /data/far fuse.sshfs rw 0 0\n/dev/sdb1 /data fuseblk rw 0 0\n";
        assert!(is_network_mount(mounts, Path::new("/data/far/catalog")));
        assert!(!is_network_mount(mounts, Path::new("/data/catalog")));
        assert!(!is_network_mount(mounts, Path::new("/home/catalog")));
    }
}

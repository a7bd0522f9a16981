//! A path → streams of bytes. What a file is, its first bytes say and not its name: plain text, gzip,
//! zstd, or a zip archive with any number of members. Archives are bounded and never unpacked to disk.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Decompressed bytes per compressed byte that are allowed once `FREE_BYTES` have come out.
const MAX_RATIO: u64 = 200;
/// Decompressed bytes before the ratio is looked at.
const FREE_BYTES: u64 = 64 << 20;
/// Members that a zip archive may have.
const MAX_MEMBERS: usize = 1000;

/// Why a file cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Disk.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// Not a regular file.
    #[error("{path}: not a regular file; pmtop reads files, not devices, pipes or sockets")]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// A zip archive that cannot be used.
    #[error("{path}: {why}")]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// One stream of log text.
pub struct Member {
    /// The name shown: the file's, or `archive.zip/member.csv`.
    pub name: String,
    /// The decompressed bytes.
    pub reader: Box<dyn Read + Send>,
    /// Bytes of the file on disk that were read so far.
    pub position: Arc<AtomicU64>,
    /// Bytes of the file on disk; 0: not known.
    pub total: u64,
    /// Whether the bytes on disk are the content itself.
    pub plain: bool,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A stream that can be opened, and opened again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRef {
    /// The name shown: the file's, or `archive.zip/member.csv`.
    pub name: String,
    path: PathBuf,
    /// Its position in a zip archive.
    index: Option<usize>,
    /// Why it cannot be read, where that is known beforehand.
    unusable: Option<&'static str>,
}

/// The streams of a file: one, or a zip archive's members.
pub fn members(path: &Path) -> Result<Vec<MemberRef>, Error> {
    let name = path.file_name().map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy()).into_owned();
    let mut file = open_regular(path)?;
    let mut magic = [0; 4];
    let read = read_up_to(&mut file, &mut magic).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    if !matches!(magic[..read], [b'P', b'K', 3 | 5, 4 | 6]) {
        return Ok(vec![MemberRef { name, path: path.to_owned(), index: None, unusable: None }]);
    }
    let wrong = |why: String| Error::Archive { path: path.to_owned(), why };
    let entries = entries(&mut file).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let mut archive = zip::ZipArchive::new(file)
        .map_err(|error| wrong(format!("the zip archive cannot be read ({error}); copy it again or unpack it")))?;
    if archive.len() > MAX_MEMBERS {
        return Err(wrong(format!("{} members, at most {MAX_MEMBERS} are allowed", archive.len())));
    }
    if archive.index_for_name("[Content_Types].xml").is_some() {
        return Err(wrong("it is an office document such as an Excel workbook; save it as CSV (UTF-8)".to_owned()));
    }
    if entries.is_some_and(|entries| entries != archive.len()) {
        return Err(wrong("several members have the same name, so one would hide another; unpack it".to_owned()));
    }
    let mut members = Vec::new();
    for index in 0..archive.len() {
        let member = archive.by_index_raw(index).map_err(|error| wrong(error.to_string()))?;
        let inner = member.name().map_err(|error| wrong(error.to_string()))?;
        if member.is_dir() || is_litter(&inner) {
            continue;
        }
        let unusable = if member.encrypted() {
            Some("it is encrypted; unpack the archive with its password")
        } else if member.is_symlink() {
            Some("it is a symbolic link")
        } else {
            None
        };
        let name = format!("{name}/{}", shown_name(&inner));
        members.push(MemberRef { name, path: path.to_owned(), index: Some(index), unusable });
    }
    if members.is_empty() {
        return Err(wrong("the archive holds no log files".to_owned()));
    }
    Ok(members)
}

/// A member's name to show: without what would lead out of the archive.
fn shown_name(name: &str) -> String {
    let parts: Vec<&str> = name.split(['/', '\\']).filter(|part| !matches!(*part, "" | "." | "..")).collect();
    if parts.is_empty() { "member".to_owned() } else { parts.join("/") }
}

/// What operating systems put into archives by themselves.
fn is_litter(name: &str) -> bool {
    let mut parts = name.split(['/', '\\']).filter(|part| !matches!(*part, "" | "." | ".."));
    let last = parts.clone().next_back().unwrap_or_default();
    last.starts_with('.')
        || last.eq_ignore_ascii_case("thumbs.db")
        || last.eq_ignore_ascii_case("desktop.ini")
        || parts.any(|part| part == "__MACOSX")
}

/// How many members a zip archive's last record announces; `None` where it does not say.
fn entries(file: &mut File) -> io::Result<Option<usize>> {
    const RECORD: usize = 22;
    let length = file.metadata()?.len();
    let tail = length.min((RECORD + usize::from(u16::MAX)) as u64);
    file.seek(SeekFrom::Start(length - tail))?;
    let mut bytes = Vec::new();
    file.take(tail).read_to_end(&mut bytes)?;
    let number = |at: usize| bytes.get(at..at + 2).map(|two| usize::from(u16::from_le_bytes([two[0], two[1]])));
    // The record is the one whose comment ends with the file.
    let record = (0..bytes.len().saturating_sub(RECORD - 1)).rev().find(|at| {
        bytes[*at..].starts_with(b"PK\x05\x06")
            && number(at + 20).is_some_and(|comment| at + RECORD + comment == bytes.len())
    });
    let count = record.and_then(|at| number(at + 10));
    Ok(count.filter(|count| *count != usize::from(u16::MAX)))
}

/// What content is that is no log text, by its first bytes, and what to do about it.
pub fn foreign(beginning: &[u8]) -> Option<(&'static str, &'static str)> {
    const KNOWN: &[(&[u8], &str, &str)] = &[
        (b"\xfd7zXZ\0", "it is compressed with xz", "unpack it with `xz -d`, or use gzip, zstd or zip"),
        (b"BZh", "it is compressed with bzip2", "unpack it with `bunzip2`, or use gzip, zstd or zip"),
        (b"\x04\x22\x4d\x18", "it is compressed with lz4", "unpack it with `lz4 -d`, or use gzip, zstd or zip"),
        (b"\x1f\x9d", "it is compressed with compress (.Z)", "unpack it with `uncompress`, or use gzip, zstd or zip"),
        (b"7z\xbc\xaf\x27\x1c", "it is a 7-Zip archive", "unpack it, or use zip"),
        (b"Rar!\x1a\x07", "it is a RAR archive", "unpack it, or use zip"),
        (b"\xd0\xcf\x11\xe0", "it is an old Excel or Office document", "save it as CSV (UTF-8)"),
        (b"PAR1", "it is a Parquet file", "give pmtop the accounting files themselves"),
        (b"SQLite format 3\0", "it is an SQLite database", "give pmtop the accounting files themselves"),
        (b"%PDF-", "it is a PDF document", "give pmtop the accounting files themselves"),
        (b"\xff\xfe", "it is UTF-16 text", "save it as UTF-8"),
        (b"\xfe\xff", "it is UTF-16 text", "save it as UTF-8"),
    ];
    if is_archive(beginning) {
        return Some(("it is an archive within an archive", "unpack the outer one first"));
    }
    if beginning.get(257..262) == Some(b"ustar") {
        return Some(("it is a tar archive", "unpack it with `tar xf`, or use zip"));
    }
    KNOWN.iter().find(|(magic, ..)| beginning.starts_with(magic)).map(|(_, what, hint)| (*what, *hint))
}

impl MemberRef {
    /// Opens the stream; no more than `max_bytes` come out of a compressed one.
    pub fn open(&self, max_bytes: u64) -> Result<Member, Error> {
        let io_error = |source| Error::Io { path: self.path.clone(), source };
        let mut file = open_regular(&self.path)?;
        let total = file.metadata().map_err(io_error)?.len();
        let position = Arc::new(AtomicU64::new(0));
        if let Some(index) = self.index {
            let wrong = |why: String| Error::Archive { path: self.path.clone(), why };
            if let Some(why) = self.unusable {
                return Err(wrong(why.to_owned()));
            }
            let mut archive = zip::ZipArchive::new(file).map_err(|error| wrong(error.to_string()))?;
            let (sender, reader) = pipe();
            // The feeder ends by itself once its reader is gone.
            std::thread::spawn(move || feed(&mut archive, index, max_bytes, &sender));
            return Ok(Member { name: self.name.clone(), reader: Box::new(reader), position, total: 0, plain: false });
        }
        let mut magic = [0; 4];
        let read = read_up_to(&mut file, &mut magic).map_err(io_error)?;
        file.seek(SeekFrom::Start(0)).map_err(io_error)?;
        let counted = Counted { inner: file, position: Arc::clone(&position) };
        let (reader, plain): (Box<dyn Read + Send>, bool) = match magic[..read] {
            [0x1f, 0x8b, ..] => (Box::new(Gzip::new(counted)), false),
            [0x28, 0xb5, 0x2f, 0xfd] => (Box::new(zstd::stream::read::Decoder::new(counted).map_err(io_error)?), false),
            _ => (Box::new(counted), true),
        };
        let reader = if plain { reader } else { bounded(reader, Arc::clone(&position), max_bytes) };
        Ok(Member { name: self.name.clone(), reader, position, total, plain })
    }
}

/// Decompresses one member into a pipe, with the error at its end if there is one.
fn feed(
    archive: &mut zip::ZipArchive<File>,
    index: usize,
    max_bytes: u64,
    sender: &std::sync::mpsc::SyncSender<io::Result<Vec<u8>>>,
) {
    let mut run = || -> io::Result<()> {
        let mut member = archive.by_index(index).map_err(|error| unusable(error.to_string()))?;
        let compressed = member.compressed_size();
        let mut out = 0u64;
        loop {
            let mut block = vec![0; 1 << 18];
            let read = member.read(&mut block).map_err(|error| damaged(error, compressed))?;
            if read == 0 {
                return Ok(());
            }
            if out == 0 && is_archive(&block[..read]) {
                return Err(unusable("an archive within an archive is not read; unpack it first".to_owned()));
            }
            out += read as u64;
            check_bounds(out, compressed.max(1), max_bytes)?;
            block.truncate(read);
            if sender.send(Ok(block)).is_err() {
                return Ok(());
            }
        }
    };
    if let Err(error) = run() {
        sender.send(Err(error)).ok();
    }
}

fn is_archive(bytes: &[u8]) -> bool {
    matches!(bytes, [b'P', b'K', 3, 4, ..] | [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..])
}

/// An error that is the file's own fault, so that reading it again would not help.
fn unusable(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// An error of a decompressor in words; an error of the disk stays what it is.
fn damaged(error: io::Error, read: u64) -> io::Error {
    if error.raw_os_error().is_some() || error.kind() == io::ErrorKind::InvalidData {
        return error;
    }
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return unusable(format!("the compressed data is cut off after {read} bytes; copy the file again"));
    }
    unusable(format!("the compressed data is damaged within its first {read} bytes ({error}); copy the file again"))
}

/// The members of a gzip file, one behind the other. Zeros at the end are padding; anything else is an error.
struct Gzip<R: Read> {
    decoder: Option<flate2::bufread::GzDecoder<BufReader<Counted<R>>>>,
}

impl<R: Read> Gzip<R> {
    fn new(inner: Counted<R>) -> Self {
        Self { decoder: Some(flate2::bufread::GzDecoder::new(BufReader::new(inner))) }
    }

    /// What comes behind a member: another one, or the end.
    fn next_member(
        mut rest: BufReader<Counted<R>>,
    ) -> io::Result<Option<flate2::bufread::GzDecoder<BufReader<Counted<R>>>>> {
        loop {
            let bytes = rest.fill_buf()?;
            let (length, zeros) = (bytes.len(), bytes.iter().take_while(|byte| **byte == 0).count());
            if length == 0 {
                return Ok(None);
            }
            if bytes[zeros..].first() == Some(&0x1f) {
                rest.consume(zeros);
                return Ok(Some(flate2::bufread::GzDecoder::new(rest)));
            }
            if zeros < length {
                let offset = rest.get_ref().position.load(Ordering::Relaxed) - (length - zeros) as u64;
                return Err(unusable(format!(
                    "the gzip data ends, and something else follows from byte {offset}; remove it or copy the file again"
                )));
            }
            rest.consume(zeros);
        }
    }
}

impl<R: Read> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.decoder {
            let read = decoder.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            if let Some(decoder) = self.decoder.take() {
                self.decoder = Self::next_member(decoder.into_inner())?;
            }
        }
        Ok(0)
    }
}

/// The reading end of a pipe between threads.
struct PipeReader {
    receiver: std::sync::mpsc::Receiver<io::Result<Vec<u8>>>,
    block: Vec<u8>,
    at: usize,
}

fn pipe() -> (std::sync::mpsc::SyncSender<io::Result<Vec<u8>>>, PipeReader) {
    let (sender, receiver) = std::sync::mpsc::sync_channel(4);
    (sender, PipeReader { receiver, block: Vec::new(), at: 0 })
}

impl Read for PipeReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.block.len() {
            match self.receiver.recv() {
                Ok(block) => {
                    self.block = block?;
                    self.at = 0;
                }
                Err(_) => return Ok(0),
            }
        }
        let count = out.len().min(self.block.len() - self.at);
        out[..count].copy_from_slice(&self.block[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// Opens a regular file; a pipe or a device is refused without being read.
fn open_regular(path: &Path) -> Result<File, Error> {
    let io_error = |source| Error::Io { path: path.to_owned(), source };
    let meta = std::fs::metadata(path).map_err(io_error)?;
    if !meta.is_file() {
        return Err(Error::NotAFile { path: path.to_owned() });
    }
    File::open(path).map_err(io_error)
}

fn read_up_to(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read(&mut buffer[read..])? {
            0 => break,
            more => read += more,
        }
    }
    Ok(read)
}

/// Counts the bytes that pass.
struct Counted<R> {
    inner: R,
    position: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.position.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Stops a stream that grows beyond reason.
struct Bounded {
    inner: Box<dyn Read + Send>,
    compressed: Arc<AtomicU64>,
    out: u64,
    max_bytes: u64,
}

fn bounded(inner: Box<dyn Read + Send>, compressed: Arc<AtomicU64>, max_bytes: u64) -> Box<dyn Read + Send> {
    Box::new(Bounded { inner, compressed, out: 0, max_bytes })
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer).map_err(|error| damaged(error, self.compressed.load(Ordering::Relaxed)))?;
        self.out += read as u64;
        check_bounds(self.out, self.compressed.load(Ordering::Relaxed).max(1), self.max_bytes)?;
        Ok(read)
    }
}

fn check_bounds(out: u64, compressed: u64, max_bytes: u64) -> io::Result<()> {
    if out > max_bytes {
        return Err(unusable(format!(
            "more than {max_bytes} bytes come out of it; raise `ingest.max_member_bytes` if that is right"
        )));
    }
    if out > FREE_BYTES && out / compressed > MAX_RATIO {
        return Err(unusable(format!("compressed more than {MAX_RATIO}:1, which no log is; not read further")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn contents(path: &Path) -> Result<Vec<(String, String)>, Error> {
        let mut out = Vec::new();
        for member in members(path)? {
            let mut text = String::new();
            let mut opened = member.open(1 << 30)?;
            opened.reader.read_to_string(&mut text).map_err(|source| Error::Io { path: path.to_owned(), source })?;
            out.push((member.name, text));
        }
        Ok(out)
    }

    #[test]
    fn the_first_bytes_tell_what_a_file_is_whatever_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(b"hello").unwrap();
        let mut two = gz.finish().unwrap();
        let second = two.clone();
        two.extend(second);
        std::fs::write(&path, two).unwrap();
        assert_eq!(contents(&path).unwrap(), [("a.csv".to_owned(), "hellohello".to_owned())]);
        std::fs::write(&path, zstd::encode_all(&b"hello"[..], 1).unwrap()).unwrap();
        assert_eq!(contents(&path).unwrap()[0].1, "hello");
    }

    #[test]
    fn every_member_of_a_zip_is_read_and_a_nested_archive_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zip");
        let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
        for (name, text) in [("x/acct.csv", &b"one"[..]), ("../tran.csv", b"two")] {
            zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(text).unwrap();
        }
        zip.finish().unwrap();
        let found = contents(&path).unwrap();
        assert_eq!(found[0], ("a.zip/x/acct.csv".to_owned(), "one".to_owned()));
        assert_eq!(found[1].1, "two");

        let nested = folder.path().join("b.zip");
        let mut zip = zip::ZipWriter::new(File::create(&nested).unwrap());
        zip.start_file("a.zip", zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&std::fs::read(&path).unwrap()).unwrap();
        zip.finish().unwrap();
        assert!(contents(&nested).unwrap_err().to_string().contains("within an archive"));
    }

    #[test]
    fn a_bomb_is_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bomb.gz");
        let mut gz = flate2::write::GzEncoder::new(File::create(&path).unwrap(), flate2::Compression::best());
        let zeros = vec![0; 1 << 20];
        for _ in 0..80 {
            gz.write_all(&zeros).unwrap();
        }
        gz.finish().unwrap();
        assert!(contents(&path).unwrap_err().to_string().contains("200:1"));
    }
}

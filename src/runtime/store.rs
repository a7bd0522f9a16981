//! What the screen keeps between two starts, in the user's state folder: saved views, the state that it was
//! left in, the replies that were there then, statements of the SQL prompt, and what was copied last. Files of the user alone, written whole.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::app::saved::SavedView;
use crate::app::sql_prompt::HISTORY;
use crate::query::question::Failure;

const VIEWS: &str = "views.json";
const LAST: &str = "last.json";
const VISITS: &str = "visits.json";
const STATEMENTS: &str = "sql.json";
const COPIED: &str = "copied.txt";

/// The state folder; `None`: nothing is kept.
#[derive(Debug, Clone, Default)]
pub struct Store {
    folder: Option<PathBuf>,
}

/// The user's state folder: `$XDG_STATE_HOME/pmtop`.
pub fn default_folder() -> Option<PathBuf> {
    dirs::state_dir().or_else(dirs::data_local_dir).map(|folder| folder.join("pmtop"))
}

impl Store {
    /// On a folder, which is made with the first file.
    pub const fn new(folder: Option<PathBuf>) -> Self {
        Self { folder }
    }

    /// The saved views, by name.
    pub fn views(&self) -> Vec<SavedView> {
        self.read(VIEWS).unwrap_or_default()
    }

    /// The state that the screen was left in.
    pub fn last(&self) -> Option<SavedView> {
        self.read(LAST)
    }

    /// Statements, the newest last.
    pub fn history(&self) -> Vec<String> {
        self.read(STATEMENTS).unwrap_or_default()
    }

    /// Keeps a view in place of one of the same name; the views there are now. Another screen may have saved
    /// one meanwhile, so they are read anew.
    pub fn save_view(&self, view: SavedView) -> Result<Vec<SavedView>, Failure> {
        let mut views = self.views();
        views.retain(|known| known.name != view.name);
        views.push(view);
        views.sort_by(|a, b| a.name.cmp(&b.name));
        self.write(VIEWS, &views).map_err(|error| self.failed(&error))?;
        Ok(views)
    }

    /// Forgets a view.
    pub fn delete_view(&self, name: &str) -> Result<Vec<SavedView>, Failure> {
        let mut views = self.views();
        views.retain(|known| known.name != name);
        self.write(VIEWS, &views).map_err(|error| self.failed(&error))?;
        Ok(views)
    }

    /// Keeps the state that the screen is left in; that it could not be kept is no reason to stay.
    pub fn keep_last(&self, view: SavedView) {
        if self.last().as_ref() != Some(&view) {
            self.write(LAST, &view).ok();
        }
    }

    /// The replies that were in a catalog when its screen was last left; `None` where there was no visit.
    pub fn visit(&self, catalog: &Path) -> Option<Vec<u64>> {
        self.visits().remove(&name(catalog))
    }

    /// Keeps the replies that are in a catalog now; that they could not be kept is no reason to stay.
    pub fn keep_visit(&self, catalog: &Path, mut replies: Vec<u64>) {
        let mut visits = self.visits();
        // Catalogs come and go, those of `pmtop demo` with every start.
        visits.retain(|catalog, _| Path::new(catalog).is_dir());
        replies.sort_unstable();
        visits.insert(name(catalog), replies);
        self.write(VISITS, &visits).ok();
    }

    fn visits(&self) -> BTreeMap<String, Vec<u64>> {
        self.read(VISITS).unwrap_or_default()
    }

    /// Keeps a statement; losing it is no reason to hold one up.
    pub fn remember(&self, statement: &str) {
        let mut statements = self.history();
        statements.push(statement.to_owned());
        let skip = statements.len().saturating_sub(HISTORY);
        self.write(STATEMENTS, &statements.get(skip..).unwrap_or_default()).ok();
    }

    /// Writes copied text into a file, for terminals without a clipboard; its path.
    pub fn copy(&self, text: &str) -> Result<Option<PathBuf>, Failure> {
        let Some(folder) = &self.folder else { return Ok(None) };
        put(folder, COPIED, format!("{text}\n").as_bytes()).map_err(|error| self.failed(&error))?;
        Ok(Some(folder.join(COPIED)))
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let text = std::fs::read(self.folder.as_ref()?.join(name)).ok()?;
        // A file that cannot be understood is as good as none; the next one replaces it.
        serde_json::from_slice(&text).ok()
    }

    fn write(&self, name: &str, what: &impl Serialize) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let mut text = serde_json::to_vec_pretty(what)?;
        text.push(b'\n');
        put(folder, name, &text)
    }

    fn failed(&self, error: &io::Error) -> Failure {
        let folder = self.folder.as_deref().unwrap_or_else(|| Path::new("."));
        Failure {
            what: "it was not kept".to_owned(),
            why: format!("{}: {error}", folder.display()),
            hint: "check who may write there, or set XDG_STATE_HOME".to_owned(),
            ..Failure::default()
        }
    }
}

/// What a catalog is called, wherever the program is started.
fn name(catalog: &Path) -> String {
    std::path::absolute(catalog).unwrap_or_else(|_| catalog.to_owned()).display().to_string()
}

/// Writes a file whole, for its user alone.
fn put(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if !folder.is_dir() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    // A temporary file is readable by its user alone, and stays so.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.persist(folder.join(name))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_kept_for_their_user_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(Some(folder.path().join("pmtop")));
        let view = |name: &str| SavedView { name: name.to_owned(), ..SavedView::default() };
        store.save_view(view("b")).unwrap();
        // Another screen saved one meanwhile.
        Store::new(Some(folder.path().join("pmtop"))).save_view(view("a")).unwrap();
        let names: Vec<String> = store.views().into_iter().map(|view| view.name).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(store.delete_view("a").unwrap().len(), 1);
        let mode = std::fs::metadata(folder.path().join("pmtop").join(VIEWS)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_visit_is_kept_for_its_catalog_as_long_as_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(Some(folder.path().join("state")));
        let (mine, other) = (folder.path().join("mine"), folder.path().join("other"));
        std::fs::create_dir(&mine).unwrap();
        std::fs::create_dir(&other).unwrap();
        assert_eq!(store.visit(&mine), None);
        store.keep_visit(&mine, vec![u64::MAX, 1]);
        store.keep_visit(&other, vec![2]);
        assert_eq!(store.visit(&mine), Some(vec![1, u64::MAX]));
        std::fs::remove_dir(&mine).unwrap();
        store.keep_visit(&other, vec![3]);
        assert_eq!((store.visit(&mine), store.visit(&other)), (None, Some(vec![3])));
    }

    #[test]
    fn a_damaged_file_is_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(VIEWS), b"{{{").unwrap();
        let store = Store::new(Some(folder.path().to_owned()));
        assert!(store.views().is_empty());
        store.remember("select 1");
        assert_eq!(store.history(), ["select 1"]);
        assert!(Store::default().copy("x").unwrap().is_none());
    }
}

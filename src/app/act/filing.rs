//! What can be done with a file of the Files tab: everything known of it, taking it in again, removing it.

use std::path::PathBuf;

use crate::app::State;
use crate::app::action::Action;
use crate::app::effect::Effect;
use crate::app::files::{FileRow, Reject, is_final};
use crate::app::notice::Notice;
use crate::app::overlay::{Confirm, FileSheet, Overlay};
use crate::config::keys::{Key, KeyPress};
use crate::dashboard::Show;
use crate::ingest::progress::Status;
use crate::query::question::Failure;

impl State {
    /// The file under the cursor of the Files tab.
    pub(in crate::app) fn file_under_cursor(&mut self) -> Option<FileRow> {
        if !self.focused().is_some_and(|panel| matches!(panel.show, Show::Files)) {
            self.notice = Some(Notice::done("this is for the files of the Files tab"));
            return None;
        }
        let rows = self.file_rows();
        let cursor = self.board().panels.get(self.board().focus)?.cursor;
        rows.get(cursor.min(rows.len().saturating_sub(1))).cloned()
    }

    pub(in crate::app) fn open_file(&mut self) -> Vec<Effect> {
        let Some(file) = self.file_under_cursor() else { return Vec::new() };
        self.serial += 1;
        let effect = Effect::Rejects { serial: self.serial, path: file.path.clone(), sha256: file.sha256.clone() };
        let sheet = FileSheet { file, rejects: None, serial: self.serial, scroll: 0 };
        self.overlay = Some(Overlay::File(Box::new(sheet)));
        vec![effect]
    }

    pub(in crate::app) fn file_key(
        &mut self,
        mut sheet: Box<FileSheet>,
        action: Option<Action>,
        key: KeyPress,
    ) -> Vec<Effect> {
        match (action, key.key) {
            (Some(Action::Accept), _) | (_, Key::Char('q' | 'i')) => return Vec::new(),
            (_, Key::Char('R')) => return self.retry_file(),
            (_, Key::Char('D')) => return self.remove_file(),
            (Some(Action::PreviousChoice), _) | (_, Key::Char('k')) => sheet.scroll = sheet.scroll.saturating_sub(1),
            (Some(Action::NextChoice), _) | (_, Key::Char('j')) => sheet.scroll += 1,
            (_, Key::PageUp) => sheet.scroll = sheet.scroll.saturating_sub(10),
            (_, Key::PageDown) => sheet.scroll += 10,
            _ => {}
        }
        sheet.scroll = sheet.scroll.min(self.geometry.help_end);
        self.overlay = Some(Overlay::File(sheet));
        Vec::new()
    }

    pub(in crate::app) fn rejects_read(&mut self, serial: u64, rejects: Result<Vec<Reject>, Failure>) {
        if let Some(Overlay::File(sheet)) = &mut self.overlay
            && sheet.serial == serial
        {
            sheet.rejects = Some(rejects);
        }
    }

    pub(in crate::app) fn retry_file(&mut self) -> Vec<Effect> {
        let Some(file) = self.file_under_cursor() else { return Vec::new() };
        match file.status {
            Some(Status::Done | Status::Duplicate) => {
                self.notice = Some(Notice::done(format!("{} is in the catalog already", file.name)));
                Vec::new()
            }
            Some(status) if !is_final(status) => {
                self.notice = Some(Notice::done(format!("{} is on its way", file.name)));
                Vec::new()
            }
            _ => {
                let path = PathBuf::from(&file.path);
                self.notice = Some(Notice::done(format!("taking {} in again", file.name)));
                self.added.push(path.clone());
                vec![Effect::AddFiles(vec![path])]
            }
        }
    }

    pub(in crate::app) fn remove_file(&mut self) -> Vec<Effect> {
        let Some(file) = self.file_under_cursor() else { return Vec::new() };
        if file.status.is_some_and(|status| !is_final(status)) {
            self.notice = Some(Notice::done(format!("{} is on its way; it can be removed once it is in", file.name)));
            return Vec::new();
        }
        let lines = vec![
            file.path.clone(),
            match file.rows {
                0 => "It has no rows in the catalog; it leaves the file table.".to_owned(),
                rows => format!("Its {rows} rows leave the catalog; events that stood behind them come back."),
            },
            "The log file itself stays where it is.".to_owned(),
        ];
        self.overlay = Some(Overlay::Confirm(Confirm {
            title: format!("Remove {}?", file.name),
            lines,
            busy: format!("removing {}", file.name),
            effect: Effect::RemoveFile { path: file.path, sha256: file.sha256 },
        }));
        Vec::new()
    }

    /// `y` alone does it: Enter is pressed too easily for something that takes rows away.
    pub(in crate::app) fn confirm_key(&mut self, confirm: Confirm, key: KeyPress) -> Vec<Effect> {
        match key.key {
            Key::Char('y' | 'Y') => {
                self.notice = Some(Notice::busy(confirm.busy));
                if let Effect::RemoveFile { path, .. } = &confirm.effect {
                    self.removing = Some(PathBuf::from(path));
                }
                vec![confirm.effect]
            }
            Key::Char('n' | 'N' | 'q') => Vec::new(),
            _ => {
                self.overlay = Some(Overlay::Confirm(confirm));
                Vec::new()
            }
        }
    }

    pub(in crate::app) fn removed(&mut self, result: Result<(String, i64), Failure>) -> Vec<Effect> {
        let path = self.removing.take();
        if let (Ok(_), Some(path)) = (&result, path) {
            self.incoming.forget(&path);
        }
        self.notice = Some(match result {
            Ok((name, rows)) => Notice::done(format!("{name} removed with {rows} rows")),
            Err(failure) => Notice::from(failure),
        });
        self.ask_visible(crate::app::effect::Urgency::Anew)
    }
}

//! Duplicate rows across files are one event (SPEC §2.6): a pure decision over the rows that share a
//! core key, so that the result depends on the set of rows alone and not on who came first.
//!
//! A row's core key is its kind, its second, and its recipient (for queue errors: its queue). Files
//! rank by key columns filled, then role, then SHA-256. Row by row, a lower file's row is charged to
//! an event kept so far of another file that agrees with it on every key column that both files fill
//! for their record types, each event once per file; what finds none is an event of its own. That
//! makes `max(n, m)` of n and m equal rows.

use crate::event::{Kind, Micros, Role};

/// The optional key columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyColumn {
    /// `queued_time`.
    Queued,
    /// `sender`.
    Sender,
    /// `job_id`.
    Job,
    /// `env_id`.
    EnvId,
    /// `queue`.
    Queue,
    /// `source_ip`.
    SourceIp,
    /// `smtp_status`.
    Status,
    /// `dsn_diag`.
    Reply,
}

/// How many optional key columns there are.
pub const KEY_COLUMNS: usize = 8;

/// The `events` columns of the optional key, in the order of [`KeyColumn`].
pub const KEY_COLUMN_NAMES: [&str; KEY_COLUMNS] =
    ["queued_time", "sender", "job_id", "env_id", "queue", "source_ip", "smtp_status", "dsn_diag"];

/// The key columns that a file fills for one record type: those with a value in at least one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct FillMask(pub u8);

impl FillMask {
    /// Marks a column as filled.
    pub const fn set(&mut self, column: KeyColumn) {
        self.0 |= 1 << column as u8;
    }

    /// Whether a column is filled.
    pub const fn holds(self, column: KeyColumn) -> bool {
        self.0 & (1 << column as u8) != 0
    }

    /// Adds what another row fills.
    pub const fn join(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// The hash of a core key; 0 where nothing merges, for want of a time or of a recipient.
pub fn core_key_hash(kind: Kind, time: Option<Micros>, who: &str) -> u64 {
    let Some(time) = time else { return 0 };
    if who.is_empty() {
        return 0;
    }
    let seed = time.wrapping_mul(16).wrapping_add(kind as i64).cast_unsigned();
    let hash = if who.bytes().fold(true, |plain, byte| plain & byte.is_ascii() & !byte.is_ascii_uppercase()) {
        xxhash_rust::xxh3::xxh3_64_with_seed(who.as_bytes(), seed)
    } else {
        xxhash_rust::xxh3::xxh3_64_with_seed(who.to_lowercase().as_bytes(), seed)
    };
    hash.max(1)
}

/// One row that may be a duplicate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// The row's file, as an index into the files of this decision.
    pub file: usize,
    /// What its file fills for its record type.
    pub filled: FillMask,
    /// Its role.
    pub role: Role,
    /// Its number within the file.
    pub row_number: i64,
    /// The full core key, hashed wide.
    pub core: u128,
    /// A hash of each optional key column's value.
    pub values: [u64; KEY_COLUMNS],
}

impl KeyRow {
    /// Whether two rows agree on every key column that both files fill.
    fn agrees(&self, other: &Self) -> bool {
        let both = self.filled.0 & other.filled.0;
        (0..KEY_COLUMNS).all(|column| both & (1 << column) == 0 || self.values[column] == other.values[column])
    }
}

/// In which catalogs a row is a copy: a bit for each set of roles (the set's own bits are its number). The
/// row is an event over roles R if bit R is not set; 0: an event in all of them.
pub type Shadow = u32;

/// All roles together: the whole catalog.
pub const ALL_ROLES: u8 = 0b1_1111;

/// Whether a row is a copy in a catalog of these roles alone.
pub const fn hides(shadow: Shadow, roles: u8) -> bool {
    shadow >> (roles & ALL_ROLES) & 1 == 1
}

/// Decides for every row of one core key. `sha` gives the files' SHA-256 for the last tie.
pub fn solve(rows: &[KeyRow], sha: &[String]) -> Vec<Shadow> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|a, b| rank(&rows[*a], sha).cmp(&rank(&rows[*b], sha)));
    let present = rows.iter().fold(0, |roles, row| roles | row.role.bit());
    let mut shadows = vec![0; rows.len()];
    // Agreement is not transitive, so that each set of roles is a question of its own.
    for roles in (1..=ALL_ROLES).filter(|roles| roles & !present == 0) {
        let chosen: Vec<usize> = order.iter().copied().filter(|index| rows[*index].role.bit() & roles != 0).collect();
        let copies = copies_among(rows, &chosen);
        for alike in (1..=ALL_ROLES).filter(|set| set & present == roles) {
            copies.iter().for_each(|index| shadows[*index] |= 1 << alike);
        }
    }
    shadows
}

/// The rows that are charged to an event of another file, given all rows by rank.
fn copies_among(rows: &[KeyRow], ranked: &[usize]) -> Vec<usize> {
    let mut groups: Vec<Group> = Vec::new();
    let mut copies = Vec::new();
    for index in ranked {
        let row = &rows[*index];
        let home = groups.iter_mut().find(|group| !group.files.contains(&row.file) && row.agrees(&rows[group.event]));
        match home {
            Some(group) => {
                group.files.push(row.file);
                copies.push(*index);
            }
            None => groups.push(Group { event: *index, files: vec![row.file] }),
        }
    }
    copies
}

struct Group {
    event: usize,
    files: Vec<usize>,
}

fn rank<'a>(row: &KeyRow, sha: &'a [String]) -> (u32, Role, &'a str, i64) {
    let unfilled = row.filled.0.count_zeros();
    (unfilled, row.role, sha.get(row.file).map_or("", String::as_str), row.row_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(file: usize, role: Role, filled: u8, row_number: i64, job: u64) -> KeyRow {
        let mut values = [7; KEY_COLUMNS];
        values[KeyColumn::Job as usize] = job;
        KeyRow { file, filled: FillMask(filled), role, row_number, core: 1, values }
    }

    fn sha() -> Vec<String> {
        vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]
    }

    fn events(shadows: &[Shadow]) -> usize {
        shadows.iter().filter(|shadow| !hides(**shadow, ALL_ROLES)).count()
    }

    #[test]
    fn equal_rows_of_two_files_count_as_often_as_in_the_file_that_has_more() {
        let rows: Vec<KeyRow> = (0..3)
            .map(|number| row(0, Role::Acct, 0xff, number, 1))
            .chain((0..5).map(|number| row(1, Role::Bounce, 0xff, number, 1)))
            .collect();
        assert_eq!(events(&solve(&rows, &sha())), 5);
    }

    #[test]
    fn columns_that_one_file_does_not_fill_are_not_compared() {
        let without_job = !(1u8 << KeyColumn::Job as u8);
        let rows = [row(0, Role::Acct, 0xff, 0, 1), row(1, Role::Bounce, without_job, 0, 0)];
        assert_eq!(copied(&rows, ALL_ROLES), [false, true]);
        assert_eq!(copied(&rows, Role::Bounce.bit()), [false, false]);
        let rows = [row(0, Role::Acct, 0xff, 0, 1), row(1, Role::Bounce, 0xff, 0, 2)];
        assert_eq!(solve(&rows, &sha()), [0, 0]);
    }

    #[test]
    fn the_file_with_more_key_columns_keeps_the_event_whatever_its_role() {
        let rows = [row(0, Role::Acct, 0x0f, 0, 1), row(1, Role::Rb, 0xff, 0, 1)];
        assert_eq!(copied(&rows, ALL_ROLES), [true, false]);
    }

    #[test]
    fn each_set_of_roles_is_what_a_catalog_of_those_alone_would_hold() {
        let rows = [row(2, Role::Bounce, 0xff, 0, 1), row(1, Role::Bounce, 0xff, 0, 1), row(0, Role::Acct, 0xff, 0, 1)];
        assert_eq!(copied(&rows, ALL_ROLES), [true, true, false]);
        assert_eq!(copied(&rows, Role::Bounce.bit()), [true, false, false]);
        assert_eq!(copied(&rows, Role::Bounce.bit() | Role::Tran.bit()), [true, false, false]);
    }

    #[test]
    fn agreement_that_is_not_transitive_is_asked_for_each_set_of_roles() {
        // The tran row fills no job and takes the one charge of whatever event is first.
        let without_job = !(1u8 << KeyColumn::Job as u8);
        let rows =
            [row(0, Role::Acct, 0xff, 0, 1), row(1, Role::Bounce, 0xff, 0, 2), row(2, Role::Tran, without_job, 0, 0)];
        assert_eq!(copied(&rows, ALL_ROLES), [false, false, true]);
        assert_eq!(copied(&rows, Role::Bounce.bit() | Role::Tran.bit()), [false, false, true]);
        assert_eq!(copied(&rows, Role::Tran.bit()), [false, false, false]);
    }

    fn copied(rows: &[KeyRow], roles: u8) -> Vec<bool> {
        solve(rows, &sha()).into_iter().map(|shadow| hides(shadow, roles)).collect()
    }

    #[test]
    fn the_order_of_the_rows_does_not_matter() {
        let mut rows: Vec<KeyRow> = Vec::new();
        for file in 0..3 {
            for number in 0..(2 + file as i64) {
                rows.push(row(file, Role::ALL[file], 0xff >> file, number, number as u64 % 2));
            }
        }
        let expected = solve(&rows, &sha());
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..50 {
            let mut order: Vec<usize> = (0..rows.len()).collect();
            rng.shuffle(&mut order);
            let shuffled: Vec<KeyRow> = order.iter().map(|index| rows[*index].clone()).collect();
            let found = solve(&shuffled, &sha());
            for (position, index) in order.iter().enumerate() {
                assert_eq!(found[position], expected[*index]);
            }
        }
    }

    #[test]
    fn without_time_or_recipient_nothing_merges() {
        assert_eq!(core_key_hash(Kind::Bounced, None, "a@b"), 0);
        assert_eq!(core_key_hash(Kind::Bounced, Some(1), ""), 0);
        assert_eq!(core_key_hash(Kind::Bounced, Some(1), "A@b"), core_key_hash(Kind::Bounced, Some(1), "a@B"));
    }
}

//! All rows that may belong to a message: found by what was asked for, then by the recipients of what was found; and
//! reports by what they are known to be about.

use hashbrown::HashSet;

use super::{Step, Who};
use crate::catalog::control::{Link, Segment};
use crate::catalog::find::{self, By};
use crate::catalog::links::{Key, MESSAGE, MESSAGES, TELLS, rule};
use crate::catalog::pack::message_hash;
use crate::catalog::peek::{self, Cells};
use crate::catalog::{Result, Snapshot};
use crate::event::{Kind, Micros, RecordType};
use crate::query::Engine;

/// Recipients of one message id beyond this are not followed any further.
const RECIPIENTS: usize = 500;

/// Columns of a step.
const COLUMNS: [&str; 28] = [
    "event_time",
    "queued_time",
    "kind",
    "record_type",
    "event_type",
    "vmta",
    "vmta_pool",
    "source_ip",
    "dsn_mta",
    "smtp_status",
    "dsn_diag",
    "reply_class",
    "bounce_class",
    "delivery_latency_ms",
    "size_bytes",
    "file_id",
    "row_number",
    "message_id",
    "recipient",
    "job_id",
    "user_id",
    "custom_header",
    "sender",
    "env_id",
    "provider",
    MESSAGE,
    MESSAGES,
    TELLS,
];

const REPORTS: u8 = 1 << RecordType::F.index() | 1 << RecordType::Rb.index() | 1 << RecordType::Rs.index();

/// The rows that may tell of what was asked for.
pub(super) fn steps(
    engine: &Engine,
    snapshot: &Snapshot,
    who: &Who,
    (from, until): (Option<Micros>, Option<Micros>),
) -> Result<Vec<Step>> {
    let reach = engine.links.reach.max(engine.links.window);
    let wide = (from.map(|from| from - reach), until.map(|until| until + reach));
    let seed = match who {
        Who::Text(_) => None,
        Who::Row(file, row) => Some(seed(snapshot, *file, *row)?),
    };
    let asked = match (who, &seed) {
        (Who::Text(text), _) => texts(text),
        (_, Some(Some(seed))) => said(seed),
        _ => return Ok(Vec::new()),
    };
    let seed = seed.flatten();
    let meant = match (who, &seed) {
        (Who::Text(text), _) => text.trim(),
        (_, Some(seed)) => &seed.recipient,
        _ => "",
    };
    let wide = match seed.as_ref().and_then(|seed| seed.time) {
        Some(time) => (Some(time - reach), Some(time + reach)),
        None => wide,
    };
    let sends = |(from, until)| -> Vec<&Segment> {
        let is_one = |segment: &&Segment| segment.is_events() && segment.holds(!REPORTS) && !segment.link.is_made();
        snapshot.segments.iter().filter(is_one).filter(|segment| find::overlaps(segment, from, until)).collect()
    };
    let mut found = find::rows(snapshot, &sends(wide), &asked, &COLUMNS[..25], |_, cells, at| step(cells, at))?;
    let mut others = found.iter().map(|step| step.recipient.to_lowercase()).collect::<HashSet<String>>();
    others.retain(|recipient| !recipient.is_empty() && *recipient != meant.to_lowercase());
    let bounds = bounds(&found).map_or(wide, |(first, last)| (Some(first - reach), Some(last + reach)));
    if !others.is_empty() && others.len() <= RECIPIENTS {
        let texts: Vec<(By, String)> = others.iter().map(|recipient| (By::Recipient, recipient.clone())).collect();
        let known: HashSet<(i64, i64)> = found.iter().map(|step| step.row).collect();
        let more = find::rows(snapshot, &sends(bounds), &texts, &COLUMNS[..25], |_, cells, at| step(cells, at))?;
        found.extend(more.into_iter().filter(|step| !known.contains(&step.row)));
    }
    let wanted = Wanted::of(&found, meant, &asked);
    let is_report = |segment: &&Segment| segment.is_events() && segment.holds(REPORTS) && segment.link != Link::Stored;
    let reports: Vec<&Segment> = snapshot
        .segments
        .iter()
        .filter(is_report)
        .filter(|segment| find::overlaps(segment, bounds.0, bounds.1))
        .collect();
    found.extend(find::on_two(&reports, |segment| {
        let rows = wanted.rows(&snapshot.root.join(&segment.path))?;
        find::cells_of(snapshot, segment, &rows, &COLUMNS, |cells, at| Step {
            told: segment.link.is_made(),
            ..step(cells, at)
        })
    })?);
    // A report that says nothing of its message is found by nothing but itself.
    if let Some(seed) = seed
        && found.iter().all(|step| step.row != seed.row)
    {
        found.push(seed);
    }
    Ok(found)
}

/// The row that is asked about.
fn seed(snapshot: &Snapshot, file: i64, row: i64) -> Result<Option<Step>> {
    let is_there = |segment: &&Segment| segment.link != Link::Stored && segment.holds_file(file);
    for segment in snapshot.segments.iter().filter(is_there) {
        let (mut at, mut found) = (0, Vec::new());
        peek::each(&snapshot.root.join(&segment.path), &["file_id", "row_number"], None, |cells| {
            for cell in 0..cells.len {
                if cells.number(1, cell) == Some(row) && cells.number(0, cell) == Some(file) {
                    found.push(at);
                }
                at += 1;
            }
            Ok(())
        })?;
        let steps = find::cells_of(snapshot, segment, &found, &COLUMNS, |cells, at| Step {
            told: segment.link.is_made(),
            ..step(cells, at)
        })?;
        if let Some(step) = steps.into_iter().next() {
            return Ok(Some(step));
        }
    }
    Ok(None)
}

/// What a row's message is found by.
fn said(step: &Step) -> Vec<(By, String)> {
    let texts = [(By::MessageId, &step.message_id), (By::Recipient, &step.recipient)];
    texts.into_iter().filter(|(_, text)| !text.is_empty()).map(|(by, text)| (by, text.clone())).collect()
}

/// What may be meant by a text.
fn texts(who: &str) -> Vec<(By, String)> {
    let who = who.trim();
    let mut texts = vec![(By::MessageId, who.to_owned()), (By::EnvId, who.to_owned())];
    if !who.starts_with('<') {
        texts.push((By::MessageId, format!("<{who}>")));
        if who.contains('@') {
            texts.push((By::Recipient, who.to_owned()));
        }
    }
    texts
}

fn bounds(steps: &[Step]) -> Option<(Micros, Micros)> {
    let times = || steps.iter().filter_map(|step| step.time);
    times().min().zip(times().max())
}

/// What reports are taken by.
struct Wanted {
    recipients: HashSet<String>,
    ids: HashSet<String>,
    env_ids: HashSet<String>,
    messages: HashSet<i64>,
}

impl Wanted {
    fn of(found: &[Step], who: &str, asked: &[(By, String)]) -> Self {
        let of = |wanted: By| asked.iter().filter(move |(by, _)| *by == wanted).map(|(_, text)| text.clone());
        let mut recipients: HashSet<String> = found.iter().map(|step| rule::recipient(&step.recipient)).collect();
        recipients.insert(rule::recipient(who));
        recipients.remove("");
        let ids = found.iter().map(|step| step.message_id.clone()).chain(of(By::MessageId));
        let delivered = found.iter().filter(|step| step.kind == Kind::Delivered.as_str());
        Self {
            recipients,
            ids: ids.filter(|id| !id.is_empty()).collect(),
            env_ids: of(By::EnvId).collect(),
            messages: delivered.map(|step| hash_of(step).cast_signed()).collect(),
        }
    }

    /// The rows of reports that are wanted.
    fn rows(&self, path: &std::path::Path) -> Result<Vec<usize>> {
        let mut out = Vec::new();
        let mut row = 0;
        peek::each(path, &["recipient", "message_id", "env_id", MESSAGE, MESSAGES], None, |cells| {
            for at in 0..cells.len {
                let about = cells.number(3, at).is_some_and(|message| self.messages.contains(&message));
                let may_be = || messages_of(cells.text(4, at)).any(|message| self.messages.contains(&message));
                let recipient = || self.recipients.contains(&cells.text(0, at).to_lowercase());
                let id = || self.ids.contains(cells.text(1, at)) || self.env_ids.contains(cells.text(2, at));
                if about || may_be() || recipient() || id() {
                    out.push(row);
                }
                row += 1;
            }
            Ok(())
        })?;
        Ok(out)
    }
}

fn messages_of(text: &str) -> impl Iterator<Item = i64> + '_ {
    text.split_ascii_whitespace().filter_map(|message| message.parse().ok())
}

/// The message that a row of a delivery is of (SPEC §4).
pub(super) fn hash_of(step: &Step) -> u64 {
    let id = (!step.message_id.is_empty()).then_some(step.message_id.as_str());
    message_hash(id, &step.recipient, &step.sender, step.queued, &step.job)
}

fn step(cells: &Cells, at: usize) -> Step {
    let text = |column: usize| cells.text(column, at).to_owned();
    let about = match cells.number(25, at) {
        Some(message) => vec![message.cast_unsigned()],
        None => messages_of(cells.text(26, at)).map(i64::cast_unsigned).collect(),
    };
    Step {
        time: cells.number(0, at),
        queued: cells.number(1, at),
        kind: text(2),
        record_type: text(3),
        event_type: text(4),
        vmta: text(5),
        vmta_pool: text(6),
        source_ip: text(7),
        dsn_mta: text(8),
        smtp_status: text(9),
        reply: text(10),
        reply_class: text(11),
        bounce_class: text(12),
        latency_ms: cells.number(13, at),
        size_bytes: cells.number(14, at),
        row: (cells.number(15, at).unwrap_or_default(), cells.number(16, at).unwrap_or_default()),
        message_id: text(17),
        recipient: text(18),
        job: text(19),
        user: text(20),
        custom_header: text(21),
        sender: text(22),
        env_id: text(23),
        provider: text(24),
        key: Key::parse(cells.text(27, at)),
        about,
        ..Step::default()
    }
}

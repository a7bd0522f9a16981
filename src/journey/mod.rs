//! The life of a message (SPEC §5): its rows are gathered over all files, put together by the keys of the rule, and told
//! as a timeline: received → attempts → delivered or bounced → remote bounce → complaint.

pub mod draw;
mod gather;
mod group;

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value as Json, json};

use crate::event::Micros;
use crate::query::question::Failure;
use crate::query::scope::Scope;
use crate::query::table::{Table, Unit, Value};
use crate::query::time::iso;
use crate::query::{Engine, mask};

pub use crate::catalog::links::Key;

/// Who is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Who {
    /// A message id, an envelope id or a recipient.
    Text(String),
    /// The message of a row: the file's number, and the row's in it.
    Row(i64, i64),
}

/// What is asked: whose life, in which scope, and how many messages at most.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ask {
    /// Whose.
    pub who: Who,
    /// Time range and filters that one of a message's events must pass.
    pub scope: Scope,
    /// Most messages, the newest first; `None`: all.
    pub limit: Option<usize>,
}

/// One thing that happened to a message.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Step {
    /// When; `None`: the row does not say.
    pub time: Option<Micros>,
    /// What (`kind` of SPEC §3).
    pub kind: String,
    /// PowerMTA's record type.
    pub record_type: String,
    /// The file's role.
    pub event_type: String,
    /// Of attempts: the how manieth.
    pub attempt: Option<u32>,
    /// VMTA.
    pub vmta: String,
    /// Pool.
    pub vmta_pool: String,
    /// Our address.
    pub source_ip: String,
    /// The remote host.
    pub dsn_mta: String,
    /// The status.
    pub smtp_status: String,
    /// The reply, verbatim.
    pub reply: String,
    /// What it means.
    pub reply_class: String,
    /// hard, soft or block.
    pub bounce_class: String,
    /// From queued to now.
    pub latency_ms: Option<i64>,
    /// Size.
    pub size_bytes: Option<i64>,
    /// What linked it to the message.
    pub key: Option<Key>,
    /// Whether it may as well belong to another message.
    pub ambiguous: bool,
    /// The messages that it may belong to, where there are several: their ids.
    pub candidates: Vec<String>,
    /// Where it stands: the file's number and the row's.
    pub row: (i64, i64),
    pub(crate) queued: Option<Micros>,
    pub(crate) message_id: String,
    pub(crate) recipient: String,
    pub(crate) job: String,
    pub(crate) user: String,
    pub(crate) custom_header: String,
    pub(crate) sender: String,
    pub(crate) env_id: String,
    pub(crate) provider: String,
    /// Of a report: the message that it was found to be about, as a hash, or those that it may be about.
    pub(crate) about: Vec<u64>,
    /// Whether more than one may be meant, or one.
    pub(crate) told: bool,
}

/// One message's life.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Journey {
    /// The weakest of the keys that hold it together.
    pub key: Option<Key>,
    /// Message id.
    pub message_id: String,
    /// Envelope id.
    pub env_id: String,
    /// Recipient.
    pub recipient: String,
    /// Job.
    pub job: String,
    /// User.
    pub user: String,
    /// Envelope sender.
    pub sender: String,
    /// Who runs the mailbox.
    pub provider: String,
    /// Whether one of its events may belong to another message.
    pub ambiguous: bool,
    /// What happened, in order.
    pub steps: Vec<Step>,
}

/// The answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Journeys {
    /// The messages, newest first.
    pub messages: Vec<Journey>,
    /// How many more there are.
    pub more: usize,
    /// Milliseconds from question to answer.
    pub took_ms: u64,
}

/// Follows messages on the engine's threads; dropping the future lets go of it.
pub fn ask(engine: &Arc<Engine>, ask: Ask) -> futures::future::BoxFuture<'static, Result<Journeys, Failure>> {
    let shared = Arc::clone(engine);
    engine.run(async move { follow(&shared, &ask) })
}

/// Follows messages.
pub fn follow(engine: &Engine, ask: &Ask) -> Result<Journeys, Failure> {
    match follow_once(engine, ask) {
        Err(failure) if engine.sets_damage_apart(&failure) => follow_once(engine, ask),
        answer => answer,
    }
}

fn follow_once(engine: &Engine, ask: &Ask) -> Result<Journeys, Failure> {
    let began = Instant::now();
    let snapshot = engine.snapshot()?;
    let range = ask.scope.time.resolve(engine.now(&snapshot)?);
    let steps = gather::steps(engine, &snapshot, &ask.who, range).map_err(Failure::from_catalog)?;
    let mut messages = group::messages(steps, &ask.who, &engine.links);
    messages.retain(|message| message.passes(&ask.scope, range));
    messages.sort_by_key(|message| std::cmp::Reverse(message.begins()));
    let limit = ask.limit.unwrap_or(usize::MAX);
    let more = messages.len().saturating_sub(limit);
    messages.truncate(limit);
    if engine.masks() {
        messages.iter_mut().for_each(Journey::hide);
    }
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(Journeys { messages, more, took_ms })
}

impl Journey {
    /// When it began, as far as rows tell.
    pub fn begins(&self) -> Option<Micros> {
        self.steps.iter().find_map(|step| step.time)
    }

    /// Whether one of its events passes every filter and lies in the range.
    fn passes(&self, scope: &Scope, (from, until): (Option<Micros>, Option<Micros>)) -> bool {
        let fields = scope.by_field();
        self.steps.iter().any(|step| {
            let inside = from.is_none_or(|from| step.time.is_some_and(|time| from <= time))
                && until.is_none_or(|until| step.time.is_some_and(|time| time < until));
            inside && fields.iter().all(|(field, conditions)| step.allows(self, *field, conditions))
        })
    }

    /// Hides the recipient wherever it may stand.
    fn hide(&mut self) {
        self.recipient = mask::words(&self.recipient);
        self.sender = mask::sender(&self.sender);
        for step in &mut self.steps {
            step.reply = mask::words(&step.reply);
        }
    }

    /// The keys that hold it together, the most trusted first.
    pub fn keys(&self) -> Vec<Key> {
        let mut keys: Vec<Key> = self.steps.iter().filter_map(|step| step.key).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

impl Step {
    fn allows(
        &self,
        message: &Journey,
        field: crate::query::field::Field,
        conditions: &crate::query::scope::Conditions,
    ) -> bool {
        use crate::query::field::Field;
        let cell = match field {
            Field::Job => &message.job,
            Field::User => &message.user,
            Field::Sender => &message.sender,
            Field::SenderDomain => return conditions.allow(&crate::event::domain_of(&message.sender)),
            Field::Domain => return conditions.allow(&crate::event::domain_of(&message.recipient)),
            Field::Provider => &message.provider,
            Field::Recipient => &message.recipient,
            Field::MessageId => &message.message_id,
            Field::EnvId => &message.env_id,
            Field::CustomHeader => &self.custom_header,
            Field::Vmta => &self.vmta,
            Field::Pool => &self.vmta_pool,
            Field::SourceIp => &self.source_ip,
            Field::Type => &self.event_type,
            Field::Kind => &self.kind,
            Field::RecordType => &self.record_type,
            Field::BounceClass => &self.bounce_class,
            Field::ReplyClass => &self.reply_class,
            Field::Status => &self.smtp_status,
            Field::DsnMta => &self.dsn_mta,
            Field::Reply => &self.reply,
            // What a step does not carry narrows nothing.
            Field::BounceCategory | Field::Queue | Field::Host | Field::File => return true,
        };
        conditions.allow(cell)
    }
}

/// One row an event: for CSV and Markdown.
pub fn table(journeys: &Journeys) -> Table {
    const TEXT: Unit = Unit::Text;
    let mut table = Table::with_heads([
        ("message", Unit::Count),
        ("message_id", TEXT),
        ("recipient", TEXT),
        ("job", TEXT),
        ("user", TEXT),
        ("sender", TEXT),
        ("time", Unit::Time),
        ("kind", TEXT),
        ("attempt", Unit::Count),
        ("vmta", TEXT),
        ("source_ip", TEXT),
        ("smtp_status", TEXT),
        ("reply", TEXT),
        ("reply_class", TEXT),
        ("bounce_class", TEXT),
        ("latency_ms", Unit::Millis),
        ("key", TEXT),
        ("ambiguous", Unit::Flag),
        ("candidates", TEXT),
    ]);
    let text = |text: &str| if text.is_empty() { Value::Null } else { Value::text(text) };
    for (number, message) in (1..).zip(&journeys.messages) {
        for step in &message.steps {
            table.rows.push(vec![
                Value::Int(number),
                text(&message.message_id),
                text(&message.recipient),
                text(&message.job),
                text(&message.user),
                text(&message.sender),
                step.time.map_or(Value::Null, Value::Time),
                text(&step.kind),
                step.attempt.map(i64::from).into(),
                text(&step.vmta),
                text(&step.source_ip),
                text(&step.smtp_status),
                text(&step.reply),
                text(&step.reply_class),
                text(&step.bounce_class),
                step.latency_ms.into(),
                step.key.map(Key::as_str).into(),
                Value::Flag(step.ambiguous),
                text(&step.candidates.join(" ")),
            ]);
        }
    }
    table
}

/// One object a message.
pub fn objects(journeys: &Journeys) -> Json {
    let text = |text: &str| if text.is_empty() { Json::Null } else { json!(text) };
    let step = |step: &Step| {
        json!({
            "time": step.time.map(iso),
            "kind": text(&step.kind),
            "record_type": text(&step.record_type),
            "attempt": step.attempt,
            "vmta": text(&step.vmta),
            "vmta_pool": text(&step.vmta_pool),
            "source_ip": text(&step.source_ip),
            "dsn_mta": text(&step.dsn_mta),
            "smtp_status": text(&step.smtp_status),
            "reply": text(&step.reply),
            "reply_class": text(&step.reply_class),
            "bounce_class": text(&step.bounce_class),
            "latency_ms": step.latency_ms,
            "size_bytes": step.size_bytes,
            "key": step.key.map(Key::as_str),
            "ambiguous": step.ambiguous,
            "candidates": step.candidates,
            "file_id": step.row.0,
            "row_number": step.row.1,
        })
    };
    let message = |message: &Journey| {
        json!({
            "key": message.key.map(Key::as_str),
            "message_id": text(&message.message_id),
            "env_id": text(&message.env_id),
            "recipient": text(&message.recipient),
            "job": text(&message.job),
            "user": text(&message.user),
            "sender": text(&message.sender),
            "provider": text(&message.provider),
            "ambiguous": message.ambiguous,
            "events": message.steps.iter().map(step).collect::<Vec<Json>>(),
        })
    };
    Json::Array(journeys.messages.iter().map(message).collect())
}

//! Rows → messages, by the keys of the rule.

use hashbrown::HashMap;

use super::gather::hash_of;
use super::{Journey, Step, Who};
use crate::catalog::links::rule::{Facts, Verdict, decide, keys, recipient};
use crate::catalog::links::{Key, Limits};
use crate::event::{Kind, Micros, RecordType};

/// A receipt is logged within so much of the time that its message was queued at.
const RECEIVED: Micros = 2_000_000;

/// Rows of one message, as far as it is known.
#[derive(Debug, Default)]
struct Group {
    steps: Vec<Step>,
    message_id: String,
    recipient: String,
    job: String,
    sender: String,
    custom_header: String,
    env_id: String,
    queued: Option<Micros>,
    /// A receipt that knows no other time.
    received: Option<Micros>,
    first: Micros,
}

impl Group {
    fn add(&mut self, step: Step) {
        let fill = |own: &mut String, text: &str| {
            if own.is_empty() {
                text.clone_into(own);
            }
        };
        fill(&mut self.message_id, &step.message_id);
        fill(&mut self.recipient, &recipient(&step.recipient));
        fill(&mut self.job, &step.job);
        fill(&mut self.sender, &step.sender.to_lowercase());
        fill(&mut self.custom_header, &step.custom_header);
        fill(&mut self.env_id, &step.env_id);
        self.queued = self.queued.or(step.queued);
        let time = step.time.unwrap_or_default();
        if step.kind == Kind::Received.as_str() {
            self.received = self.received.or(step.time);
        }
        self.first = if self.steps.is_empty() { time } else { self.first.min(time) };
        self.steps.push(step);
    }

    fn of(steps: Vec<Step>) -> Self {
        let mut group = Self::default();
        steps.into_iter().for_each(|step| group.add(step));
        group
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            message_id: &self.message_id,
            recipient: &self.recipient,
            job: &self.job,
            custom_header: &self.custom_header,
            sender: &self.sender,
            env_id: &self.env_id,
            time: self.first,
        }
    }

    /// By which keys a group without message id may be part of this one, as bits.
    fn takes(&self, other: &Self, limits: &Limits) -> u8 {
        let queued = match (self.queued, other.queued, other.received) {
            (Some(mine), Some(theirs), _) => mine == theirs,
            (Some(mine), None, Some(received)) => (received - mine).abs() <= RECEIVED,
            _ => true,
        };
        if !queued {
            return 0;
        }
        // Which of them was logged first does not matter here.
        let later = self.first.max(other.first);
        let (mine, theirs) = (self.facts(), other.facts());
        let earlier = self.first.min(other.first);
        keys(&Facts { time: later, ..theirs }, &Facts { time: earlier, ..mine }, limits)
    }

    /// A name for people: the message id, or when it was queued.
    fn name(&self) -> String {
        match (self.message_id.is_empty(), self.queued.or(Some(self.first))) {
            (true, Some(time)) => crate::query::time::iso(time),
            _ => self.message_id.clone(),
        }
    }
}

fn is_report(step: &Step) -> bool {
    matches!(RecordType::parse(&step.record_type), Some(RecordType::F | RecordType::Rb | RecordType::Rs))
}

/// The messages that rows belong to; those that have to do with what was asked for.
pub(super) fn messages(steps: Vec<Step>, who: &Who, limits: &Limits) -> Vec<Journey> {
    let (reports, sends): (Vec<Step>, Vec<Step>) = steps.into_iter().partition(is_report);
    let mut groups = merged(alike(sends), limits);
    attach(&mut groups, reports, limits);
    let text = match who {
        Who::Text(text) => text.trim().to_lowercase(),
        Who::Row(file, row) => {
            let is_of = |group: &Group| group.steps.iter().any(|step| step.row == (*file, *row));
            return groups.into_iter().filter(is_of).map(journey).collect();
        }
    };
    let who = text.trim_start_matches('<').trim_end_matches('>');
    let is_asked = |group: &Group| {
        let is = |text: &str| {
            let text = text.to_lowercase();
            text.trim_start_matches('<').trim_end_matches('>') == who
        };
        group
            .steps
            .iter()
            .any(|step| [&step.recipient, &step.message_id, &step.env_id].into_iter().any(|text| is(text)))
            || is(&group.recipient)
    };
    groups.into_iter().filter(is_asked).map(journey).collect()
}

/// Rows that say of themselves that they are of one message: by message id and recipient, else by sender, recipient, time
/// queued and job.
fn alike(sends: Vec<Step>) -> Vec<Group> {
    let mut by: HashMap<String, Vec<Step>> = HashMap::new();
    let mut alone = Vec::new();
    for mut step in sends {
        let name = match (step.message_id.is_empty(), step.queued) {
            (false, _) => {
                step.key = Some(Key::MessageId);
                format!("i{}\u{1f}{}", step.message_id, step.recipient.to_lowercase())
            }
            (true, Some(queued)) => {
                step.key = Some(if step.job.is_empty() { Key::Window } else { Key::Job });
                format!("q{queued}\u{1f}{}\u{1f}{}\u{1f}{}", step.recipient.to_lowercase(), step.sender, step.job)
            }
            _ => {
                alone.push(Group::of(vec![step]));
                continue;
            }
        };
        by.entry(name).or_default().push(step);
    }
    let mut groups: Vec<Group> = by.into_values().map(Group::of).chain(alone).collect();
    // Those that know most come first; others are joined to them.
    groups.sort_by(|a, b| {
        let rank = |group: &Group| (group.message_id.is_empty(), group.queued.is_none(), group.first);
        rank(a).cmp(&rank(b)).then_with(|| a.message_id.cmp(&b.message_id))
    });
    groups
}

/// Joins groups that know no message id to those that they can only belong to.
fn merged(groups: Vec<Group>, limits: &Limits) -> Vec<Group> {
    let mut out: Vec<Group> = Vec::new();
    for mut group in groups {
        if !group.message_id.is_empty() {
            out.push(group);
            continue;
        }
        let found: Vec<(u8, u64)> = out.iter().zip(0..).map(|(known, at)| (known.takes(&group, limits), at)).collect();
        match decide(&found) {
            Verdict::Linked(at, key) => {
                for mut step in group.steps.drain(..) {
                    step.key = Some(key);
                    if let Some(known) = out.get_mut(at) {
                        known.add(step);
                    }
                }
            }
            Verdict::Ambiguous(several, key) => {
                let names: Vec<String> = several.iter().filter_map(|at| out.get(*at)).map(Group::name).collect();
                for step in &mut group.steps {
                    (step.key, step.ambiguous) = (Some(key), true);
                    step.candidates.clone_from(&names);
                }
                out.push(group);
            }
            Verdict::Unknown => out.push(group),
        }
    }
    out
}

/// Puts reports to the messages that they are about.
fn attach(groups: &mut Vec<Group>, reports: Vec<Step>, limits: &Limits) {
    // Deliveries, as what reports are about.
    let mut sends: Vec<(usize, u64, Step)> = Vec::new();
    for (at, group) in groups.iter().enumerate() {
        let delivered = group.steps.iter().filter(|step| step.kind == Kind::Delivered.as_str());
        sends.extend(delivered.map(|step| (at, hash_of(step), step.clone())));
    }
    for mut report in reports {
        if !report.told {
            live(&mut report, &sends, limits);
        }
        let at: Vec<usize> = {
            let about = |hash: &u64| sends.iter().find(|(_, known, _)| known == hash).map(|(at, _, _)| *at);
            report.about.iter().filter_map(about).collect()
        };
        if report.about.len() > 1 {
            let named = |hash: &u64| {
                let known = sends.iter().find(|(_, known, _)| known == hash).and_then(|(at, _, _)| groups.get(*at));
                known.map_or_else(|| format!("{hash:016x}"), Group::name)
            };
            report.candidates = report.about.iter().map(named).collect();
            report.ambiguous = true;
        }
        if at.is_empty() {
            groups.push(Group::of(vec![report]));
            continue;
        }
        for at in at {
            if let Some(group) = groups.get_mut(at) {
                group.add(report.clone());
            }
        }
    }
}

/// What a report is about, where that is not kept yet: among the deliveries that were gathered.
fn live(report: &mut Step, sends: &[(usize, u64, Step)], limits: &Limits) {
    let (to, from) = (recipient(&report.recipient), report.sender.to_lowercase());
    let said = |step: &Step| step.time.unwrap_or_default();
    let facts = Facts {
        message_id: &report.message_id,
        recipient: &to,
        job: &report.job,
        custom_header: &report.custom_header,
        sender: &from,
        env_id: &report.env_id,
        time: said(report),
    };
    let found: Vec<(u8, u64)> = sends
        .iter()
        .map(|(_, hash, send)| {
            let (to, from) = (recipient(&send.recipient), send.sender.to_lowercase());
            let send = Facts {
                message_id: &send.message_id,
                recipient: &to,
                job: &send.job,
                custom_header: &send.custom_header,
                sender: &from,
                env_id: &send.env_id,
                time: said(send),
            };
            (keys(&facts, &send, limits), *hash)
        })
        .collect();
    let hash = |at: &usize| sends.get(*at).map(|(_, hash, _)| *hash);
    let (about, key) = match decide(&found) {
        Verdict::Linked(at, key) => (hash(&at).into_iter().collect(), Some(key)),
        Verdict::Ambiguous(several, key) => (several.iter().filter_map(hash).collect(), Some(key)),
        Verdict::Unknown => (Vec::new(), None),
    };
    (report.about, report.key) = (about, key);
}

/// The order of things that happen in the same second.
fn rank(step: &Step) -> u8 {
    match Kind::parse(&step.kind) {
        Some(Kind::Received) => 0,
        Some(Kind::Deferred) => 1,
        Some(Kind::Delivered | Kind::Bounced) => 2,
        Some(Kind::RemoteBounce) => 3,
        Some(Kind::Complaint) => 4,
        _ => 5,
    }
}

/// A group as a life: in order, with attempts counted.
fn journey(mut group: Group) -> Journey {
    group.steps.sort_by_key(|step| (step.time, rank(step), step.row));
    let mut attempts = 0;
    for step in &mut group.steps {
        if matches!(Kind::parse(&step.kind), Some(Kind::Deferred | Kind::Delivered | Kind::Bounced)) {
            attempts += 1;
            step.attempt = Some(attempts);
        }
    }
    let sends = || group.steps.iter().filter(|step| !is_report(step)).chain(&group.steps);
    let first =
        |cell: fn(&Step) -> &String| sends().map(cell).find(|text| !text.is_empty()).cloned().unwrap_or_default();
    Journey {
        key: group.steps.iter().filter_map(|step| step.key).max(),
        message_id: first(|step| &step.message_id),
        env_id: first(|step| &step.env_id),
        recipient: first(|step| &step.recipient),
        job: first(|step| &step.job),
        user: first(|step| &step.user),
        sender: first(|step| &step.sender),
        provider: first(|step| &step.provider),
        ambiguous: group.steps.iter().any(|step| step.ambiguous),
        steps: group.steps,
    }
}

//! The truth about reports: which message each complaint, remote bounce and remote status is about, whatever its row
//! says of it.

use serde::{Deserialize, Serialize};

use super::Options;
use super::rows::{Rows, complaint_keeps_id, feedback_type};
use super::traffic::{Event, Job, Kind};
use super::world::{POOLS, PROFILES, PROVIDER_NAMES, USERS, VMTAS, World};

/// A report and its message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkTruth {
    /// The file of the report.
    pub file: String,
    /// The number of its row there, from 1.
    pub row: u64,
    /// f, rb or rs.
    pub record: String,
    /// Whether it is a complaint or a remote bounce, and not a notice of something else.
    pub counts: bool,
    /// Whether its row carries the message id.
    pub has_id: bool,
    /// Of the message: its id.
    pub message_id: String,
    /// Its sender.
    pub sender: String,
    /// Its recipient.
    pub recipient: String,
    /// Its job.
    pub job: String,
    /// Its user.
    pub user: String,
    /// Who runs the recipient's mailbox.
    pub provider: String,
    /// The same, as far as the domain's name tells.
    pub provider_by_name: String,
    /// The VMTA that sent it.
    pub vmta: String,
    /// The pool.
    pub pool: String,
    /// The address that sent it.
    pub source_ip: String,
    /// When it was queued, in Unix seconds.
    pub queued: i64,
}

/// Whether an event tells of a message after its delivery.
pub(super) fn is_report(event: &Event) -> bool {
    matches!(event.kind, Kind::Complaint | Kind::RemoteBounce | Kind::RemoteStatus)
}

/// The message of a report that stands in a file, as the last of so many rows.
pub(super) fn of(
    event: &Event,
    (file, row): (&str, u64),
    rows: &mut Rows<'_>,
    (jobs, world): (&[Job], &World),
    options: &Options,
) -> LinkTruth {
    let message = event.message;
    let [message_id, sender, recipient] = rows.names(&message);
    let domain = &world.domains[usize::from(message.domain)];
    let vmta = &VMTAS[usize::from(message.vmta)];
    LinkTruth {
        file: file.to_owned(),
        row,
        record: match event.kind {
            Kind::Complaint => "f",
            Kind::RemoteBounce => "rb",
            _ => "rs",
        }
        .to_owned(),
        counts: match event.kind {
            Kind::Complaint => matches!(feedback_type(&message), "abuse" | ""),
            kind => kind == Kind::RemoteBounce,
        },
        has_id: event.kind == Kind::Complaint && complaint_keeps_id(&message),
        message_id,
        sender,
        recipient,
        job: jobs[message.job as usize].name.clone(),
        user: USERS[usize::from(message.user)].name.to_owned(),
        provider: PROVIDER_NAMES[PROFILES[domain.profile].provider as usize].to_owned(),
        provider_by_name: PROVIDER_NAMES[domain.provider_by_name as usize].to_owned(),
        vmta: vmta.name.to_owned(),
        pool: POOLS[vmta.pool].to_owned(),
        source_ip: vmta.ip.to_owned(),
        queued: options.epoch_of(message.queued),
    }
}

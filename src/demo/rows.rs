//! Writes events as the CSV rows PowerMTA would log: column order, times, quoting and the small print of every record
//! type. Incidental cells come from the message id, so a row is the same whenever it is written.

use super::Options;
use super::replies::{Part, Replies, Template};
use super::traffic::{Event, Job, Kind, Message};
use super::world::{self, Domain, DomainState, Host, POOLS, PROFILES, USERS, VMTAS, World};

const SECONDS_PER_DAY: u32 = 86_400;

/// Default columns of d, b and t rows since PowerMTA 4.5.
const COLUMNS: &str = "type,timeLogged,timeQueued,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,srcType,srcMta,dlvType,dlvSourceIp,dlvDestinationIp,dlvEsmtpAvailable,dlvSize,vmta,jobId,envId,queue,vmtaPool";
const RECEIVED_COLUMNS: &str = "rcvSourceIp,rcvDestinationIp,rcvSmtpUser";
const MESSAGE_ID: &str = "header_Message-Id";
const FBL_COLUMNS: &str = "type,timeLogged,repSourceIp,feedbackType,format,userAgent,envId,orig,rcpt,reportingMta,dlvSourceIp,reportedDomain,header_From,header_Return-Path,header_X-job,header_Subject";
const RB_COLUMNS: &str =
    "type,timeLogged,orig,rcpt,orcpt,dsnStatus,dsnDiag,dsnMta,dsnReportingMta,bounceCat,srcType,srcMta,envId,dsnAction";

/// Where our own injectors connect to, and where reports come in.
const RECEIVING_IP: &str = "192.0.2.5";

/// The header lines of acct, tran, bounce, fbl and rb files.
pub(super) fn headers(options: &Options) -> [String; 5] {
    let acct = if options.received {
        format!("{COLUMNS},{RECEIVED_COLUMNS},{MESSAGE_ID}")
    } else {
        format!("{COLUMNS},{MESSAGE_ID}")
    };
    [
        acct,
        format!("{COLUMNS},{MESSAGE_ID}"),
        COLUMNS.to_owned(),
        format!("{FBL_COLUMNS},{MESSAGE_ID}"),
        RB_COLUMNS.to_owned(),
    ]
}

/// What kind of feedback a complaint is: mostly abuse or nothing, now and then something that is no complaint.
pub(super) fn feedback_type(message: &Message) -> &'static str {
    match message.id >> 8 & 63 {
        0 => "not-spam",
        1 => "fraud",
        2..6 => "",
        _ => "abuse",
    }
}

/// Whether a complaint names its recipient; some reporters remove it.
pub(super) fn names_recipient(message: &Message) -> bool {
    message.id >> 16 & 7 != 0
}

/// Whether a complaint still carries the job header.
pub(super) fn names_job(message: &Message) -> bool {
    message.id >> 24 & 15 != 0
}

/// The message id, or nothing: a third of the reports lost it.
pub(super) fn complaint_keeps_id(message: &Message) -> bool {
    !(message.id >> 32).is_multiple_of(3)
}

/// A writer of rows; the row at hand is in `row`.
pub(super) struct Rows<'a> {
    options: &'a Options,
    world: &'a World,
    replies: &'a Replies,
    epoch: i64,
    dates: Vec<String>,
    mail_domains: Vec<String>,
    /// The time cell of the second at hand.
    now: (u32, Vec<u8>),
    pub row: Vec<u8>,
}

impl<'a> Rows<'a> {
    /// Prepares dates and names.
    pub fn new(options: &'a Options, world: &'a World, replies: &'a Replies) -> Self {
        let days = options.days + options.tail_days + 1;
        let dates = (0..=days)
            .map(|day| (options.start + chrono::Days::new(u64::from(day))).format("%Y-%m-%d ").to_string())
            .collect();
        Self {
            options,
            world,
            replies,
            epoch: options.epoch_of(0),
            dates,
            mail_domains: USERS.iter().map(|user| format!("mail.{}.example", user.name)).collect(),
            now: (u32::MAX, Vec::new()),
            row: Vec::with_capacity(2_048),
        }
    }

    /// Writes one event; returns how many bytes of the row are the default columns of d, b and t.
    pub fn write(&mut self, event: &Event, jobs: &[Job]) -> usize {
        self.row.clear();
        if self.now.0 != event.at {
            self.now.0 = event.at;
            let mut cell = std::mem::take(&mut self.now.1);
            cell.clear();
            self.time_into(&mut cell, event.at);
            self.now.1 = cell;
        }
        let job = &jobs[event.message.job as usize];
        match event.kind {
            Kind::Received => self.received(event, job),
            Kind::Inbound => self.inbound(event),
            Kind::QueueError => self.queue_error(event),
            Kind::Complaint => self.complaint(event, job),
            Kind::RemoteBounce | Kind::RemoteStatus => self.remote(event),
            Kind::Delivered | Kind::Bounced | Kind::Deferred => self.attempt(event, job),
        }
    }

    fn attempt(&mut self, event: &Event, job: &Job) -> usize {
        let Event { message, kind, .. } = *event;
        let (world, replies) = (self.world, self.replies);
        let domain = &world.domains[usize::from(message.domain)];
        let profile = &PROFILES[domain.profile];
        let reply = &replies.all[usize::from(event.reply)];
        let vmta = &VMTAS[usize::from(message.vmta)];
        let host = connected(event, replies).then(|| host_of(event, domain));
        let (code, action) = match kind {
            Kind::Delivered => ("d", "relayed"),
            Kind::Bounced => ("b", "failed"),
            _ => ("t", "delayed"),
        };
        self.begin(code);
        self.comma();
        self.time(message.queued);
        self.comma();
        self.sender(&message);
        self.comma();
        self.recipient(&message);
        self.text(",,");
        self.text(action);
        self.comma();
        if kind == Kind::Delivered {
            self.text("2.0.0 (success),");
            self.template(&replies.accepted[domain.profile], event, host);
        } else {
            self.cell(&reply.status);
            self.comma();
            self.template(&reply.text, event, host);
        }
        self.comma();
        self.text(host.map_or("", |h| &h.cell));
        self.comma();
        self.text(self.category(event));
        self.comma();
        self.source(&message);
        self.text(",smtp,");
        if let Some(host) = host {
            self.text(vmta.ip);
            self.comma();
            self.text(&host.ip);
            self.text(",\"");
            self.text(profile.esmtp);
            self.text("\",");
        } else {
            self.text(",,,");
        }
        if kind == Kind::Delivered {
            self.number(u64::from(job.plan.size) + (message.id >> 44) % 1_800);
        }
        self.comma();
        self.text(vmta.name);
        self.comma();
        self.text(&job.name);
        self.comma();
        self.env_id(&message);
        self.comma();
        self.text(&domain.queue);
        self.text("/");
        self.text(vmta.name);
        self.comma();
        self.text(POOLS[vmta.pool]);
        let default_columns = self.row.len();
        if kind != Kind::Deferred && self.options.received {
            self.text(",,,");
        }
        self.comma();
        self.message_id(&message);
        default_columns
    }

    fn category(&self, event: &Event) -> &'static str {
        match event.kind {
            Kind::Delivered if self.options.success_category => "success",
            Kind::Delivered => "",
            // Transient rows carry a category only sometimes.
            Kind::Deferred if event.message.id >> 12 & 3 == 0 => "",
            _ => self.replies.all[usize::from(event.reply)].category,
        }
    }

    fn received(&mut self, event: &Event, job: &Job) -> usize {
        let message = event.message;
        let vmta = &VMTAS[usize::from(message.vmta)];
        self.begin("r");
        self.text(",,");
        self.sender(&message);
        self.comma();
        self.recipient(&message);
        self.text(",,,,,,,");
        self.source(&message);
        self.text(",,,,,,");
        self.text(vmta.name);
        self.comma();
        self.text(&job.name);
        self.comma();
        self.env_id(&message);
        self.text(",,");
        self.text(POOLS[vmta.pool]);
        self.comma();
        self.injector_ip(&message);
        self.comma();
        self.text(RECEIVING_IP);
        self.comma();
        self.text(USERS[usize::from(message.user)].name);
        self.comma();
        self.message_id(&message);
        self.row.len()
    }

    /// A bounce mail that came in and went to the bounce processor: a `d` row, but no delivery.
    fn inbound(&mut self, event: &Event) -> usize {
        let message = event.message;
        self.begin("d");
        self.comma();
        self.time(event.at.saturating_sub(1));
        self.text(",,bounce+");
        self.hex(message.id, 8);
        self.text("@");
        self.mail_domain(&message);
        self.text(",,relayed,2.0.0 (success),,,");
        self.text(if self.options.success_category { "success" } else { "" });
        self.text(",smtp,");
        let domain = &self.world.domains[usize::from(message.domain)];
        self.text(&host_of(event, domain).cell);
        self.text(",pipe,,,,");
        self.number(3_000 + (message.id >> 44) % 4_000);
        self.text(",,,,{bounceProcessor},");
        let default_columns = self.row.len();
        if self.options.received {
            self.text(",,,");
        }
        self.comma();
        default_columns
    }

    fn queue_error(&mut self, event: &Event) -> usize {
        let message = event.message;
        let (world, replies) = (self.world, self.replies);
        let domain = &world.domains[usize::from(message.domain)];
        let reply = &replies.all[usize::from(event.reply)];
        let host = host_of(event, domain);
        let vmta = &VMTAS[usize::from(message.vmta)];
        self.begin("tq");
        self.text(",,,,,,");
        self.cell(&reply.status);
        self.comma();
        self.template(&reply.text, event, Some(host));
        self.comma();
        self.text(&host.cell);
        self.text(",,,,smtp,");
        self.text(vmta.ip);
        self.text(",,,,");
        self.text(vmta.name);
        self.text(",,,");
        self.text(&domain.queue);
        self.text("/");
        self.text(vmta.name);
        self.text(",,");
        self.row.len()
    }

    fn complaint(&mut self, event: &Event, job: &Job) -> usize {
        let message = event.message;
        let world = self.world;
        let domain = &world.domains[usize::from(message.domain)];
        let user = &USERS[usize::from(message.user)];
        let reporter = &PROFILES[domain.profile].reporter;
        self.begin("f");
        self.comma();
        self.text(RECEIVING_IP);
        self.comma();
        self.text(feedback_type(&message));
        self.comma();
        self.text(reporter.format);
        self.comma();
        self.text(reporter.agent);
        self.comma();
        self.env_id(&message);
        self.comma();
        self.sender(&message);
        self.comma();
        if names_recipient(&message) {
            self.recipient(&message);
        }
        self.comma();
        self.text(reporter.mta);
        self.comma();
        self.text(reporter.ip);
        self.comma();
        self.text(user.name);
        self.text(".example,");
        self.cell(user.from);
        self.text(",<");
        self.sender(&message);
        self.text(">,");
        if names_job(&message) {
            self.text(&job.name);
        }
        self.comma();
        self.cell(job.plan.subject);
        self.comma();
        if complaint_keeps_id(&message) {
            self.message_id(&message);
        }
        self.row.len()
    }

    fn remote(&mut self, event: &Event) -> usize {
        let message = event.message;
        let (world, replies) = (self.world, self.replies);
        let domain = &world.domains[usize::from(message.domain)];
        let reply = &replies.all[usize::from(event.reply)];
        let host = host_of(event, domain);
        let bounce = event.kind == Kind::RemoteBounce;
        self.begin(if bounce { "rb" } else { "rs" });
        self.comma();
        self.sender(&message);
        self.comma();
        self.recipient(&message);
        self.text(",,");
        if bounce {
            self.cell(&reply.status);
            self.comma();
            self.template(&reply.text, event, Some(host));
        } else {
            self.text("2.1.5 (destination address valid),");
        }
        self.comma();
        self.text(&host.cell);
        self.comma();
        self.text(&host.name);
        self.comma();
        self.text(if bounce { reply.category } else { "" });
        self.text(",smtp,");
        self.text(&host.cell);
        self.comma();
        self.env_id(&message);
        self.text(if bounce { "," } else { ",delivered" });
        self.row.len()
    }

    /// Message id, sender and recipient as they stand in rows; the row at hand is lost.
    pub fn names(&mut self, message: &Message) -> [String; 3] {
        let parts: [fn(&mut Self, &Message); 3] = [Self::message_id, Self::sender, Self::recipient];
        parts.map(|part| {
            self.row.clear();
            part(self, message);
            String::from_utf8_lossy(&self.row).into_owned()
        })
    }

    fn begin(&mut self, code: &str) {
        self.text(code);
        self.row.push(b',');
        self.row.extend_from_slice(&self.now.1);
    }

    fn text(&mut self, text: &str) {
        self.row.extend_from_slice(text.as_bytes());
    }

    /// Text that may need quotes around it.
    fn cell(&mut self, text: &str) {
        if text.contains([',', '"']) {
            self.text("\"");
            self.text(&text.replace('"', "\"\""));
            self.text("\"");
        } else {
            self.text(text);
        }
    }

    fn comma(&mut self) {
        self.row.push(b',');
    }

    fn time(&mut self, at: u32) {
        let mut row = std::mem::take(&mut self.row);
        self.time_into(&mut row, at);
        self.row = row;
    }

    fn time_into(&self, out: &mut Vec<u8>, at: u32) {
        if self.options.epoch {
            push_number(out, u64::try_from(self.epoch + i64::from(at)).unwrap_or(0));
            return;
        }
        let (day, second) = ((at / SECONDS_PER_DAY) as usize, at % SECONDS_PER_DAY);
        out.extend_from_slice(self.dates.get(day).map_or(b"", |date| date.as_bytes()));
        for (part, end) in [(second / 3_600, b':'), (second / 60 % 60, b':'), (second % 60, b'+')] {
            out.extend_from_slice(&[b'0' + (part / 10) as u8, b'0' + (part % 10) as u8, end]);
        }
        out.extend_from_slice(b"0000");
    }

    fn number(&mut self, value: u64) {
        push_number(&mut self.row, value);
    }

    fn hex(&mut self, value: u64, digits: u32) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.row.extend((0..digits).rev().map(|digit| DIGITS[(value >> (4 * digit) & 15) as usize]));
    }

    fn mail_domain(&mut self, message: &Message) {
        self.row.extend_from_slice(self.mail_domains[usize::from(message.user)].as_bytes());
    }

    fn message_id(&mut self, message: &Message) {
        self.text("<");
        self.hex(message.id, 16);
        self.text("@");
        self.mail_domain(message);
        self.text(">");
    }

    fn local_part(&mut self, message: &Message) {
        let hash = message.recipient_hash;
        let (first, last) = world::local_names(hash);
        match hash >> 26 & 3 {
            0 => {
                self.text(first.get(..1).unwrap_or_default());
                self.text(last);
            }
            1 => {
                self.text(first);
                self.text("_");
                self.text(last);
            }
            _ => {
                self.text(first);
                self.text(".");
                self.text(last);
            }
        }
        self.number(u64::from(message.recipient));
    }

    fn recipient(&mut self, message: &Message) {
        self.local_part(message);
        self.text("@");
        self.shown_domain(message);
    }

    fn shown_domain(&mut self, message: &Message) {
        let world = self.world;
        let domain = &world.domains[usize::from(message.domain)];
        // One address in 256 is written with a capital.
        self.text(if message.recipient_hash >> 28 & 255 == 0 { &domain.shown } else { &domain.name });
    }

    fn sender(&mut self, message: &Message) {
        if USERS[usize::from(message.user)].verp {
            self.text("bounce+");
            self.hex(message.id >> 13, 8);
            self.text("=");
            self.local_part(message);
            self.text("=");
            self.shown_domain(message);
            self.text("@");
        } else {
            self.text("bounces@");
        }
        self.mail_domain(message);
    }

    fn env_id(&mut self, message: &Message) {
        if USERS[usize::from(message.user)].env_ids {
            self.text("s");
            self.number(u64::from(message.recipient));
        }
    }

    /// `srcType,srcMta`.
    fn source(&mut self, message: &Message) {
        let user = &USERS[usize::from(message.user)];
        if user.api {
            return self.text("api,");
        }
        self.text("smtp,app");
        self.number(1 + (message.id & 3));
        self.text(".");
        self.text(user.name);
        self.text(".example (");
        self.injector_ip(message);
        self.text(")");
    }

    fn injector_ip(&mut self, message: &Message) {
        self.text("10.0.");
        self.number(u64::from(message.user));
        self.text(".");
        self.number(11 + (message.id & 3));
    }

    fn template(&mut self, template: &Template, event: &Event, host: Option<&Host>) {
        if template.quoted {
            self.row.push(b'"');
        }
        let message = &event.message;
        for part in &template.parts {
            match part {
                Part::Text(text) => self.text(text),
                Part::Ip => self.text(VMTAS[usize::from(message.vmta)].ip),
                Part::Recipient => self.recipient(message),
                Part::Id => self.hex(world::mix(message.id ^ u64::from(event.attempt)), 14),
                Part::Host => self.text(host.map_or("", |h| &h.name)),
                Part::Domain => self.mail_domain(message),
                Part::From => {
                    self.text(USERS[usize::from(message.user)].name);
                    self.text(".example");
                }
                Part::Epoch => self.number(u64::try_from(self.epoch + i64::from(event.at)).unwrap_or(0)),
            }
        }
        if template.quoted {
            self.row.push(b'"');
        }
    }
}

/// Whether a connection was made: PowerMTA's own verdicts come without host, addresses and reply.
pub(super) fn connected(event: &Event, replies: &Replies) -> bool {
    !matches!(event.kind, Kind::Bounced | Kind::Deferred)
        || !replies.all[usize::from(event.reply)].text.parts.is_empty()
}

fn host_of<'w>(event: &Event, domain: &'w Domain) -> &'w Host {
    debug_assert!(domain.state != DomainState::Missing || event.kind == Kind::Inbound);
    let turn = (event.message.id >> 36) as usize + usize::from(event.attempt);
    &domain.hosts[turn % domain.hosts.len()]
}

fn push_number(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut rest = value;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_decimal() {
        let mut out = Vec::new();
        for value in [0, 7, 10, 1_234_567_890_123] {
            push_number(&mut out, value);
            out.push(b' ');
        }
        assert_eq!(out, b"0 7 10 1234567890123 ");
    }

    #[test]
    fn every_row_has_as_many_cells_as_its_header() {
        let options = Options { messages_per_day: 4_000, incident: super::super::Incident::Demo, ..Options::default() };
        let (world, replies) = (World::new(options.seed), Replies::new());
        let mut traffic = super::super::traffic::Traffic::new(&options, &world, &replies);
        let mut rows = Rows::new(&options, &world, &replies);
        let headers = headers(&options);
        let mut events = Vec::new();
        while traffic.minute(&mut events) {
            for event in &events {
                let default_columns = rows.write(event, &traffic.jobs);
                let header = match event.kind {
                    Kind::Deferred | Kind::QueueError => &headers[1],
                    Kind::Complaint => &headers[3],
                    Kind::RemoteBounce | Kind::RemoteStatus => &headers[4],
                    _ => &headers[0],
                };
                assert_eq!(cells(&rows.row), header.split(',').count(), "{}", String::from_utf8_lossy(&rows.row));
                if event.kind == Kind::Bounced {
                    assert_eq!(cells(&rows.row[..default_columns]), headers[2].split(',').count());
                }
            }
        }
    }

    fn cells(row: &[u8]) -> usize {
        let mut quoted = false;
        1 + row
            .iter()
            .filter(|b| {
                quoted ^= **b == b'"';
                **b == b',' && !quoted
            })
            .count()
    }
}

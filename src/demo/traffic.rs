//! Plays the demo's mail minute by minute: jobs submit messages, attempts defer, deliver or bounce, and what comes
//! hours later (complaints, remote bounces) waits in a ring of minutes. Hands on events in the order of their time.

use std::collections::VecDeque;

use chrono::Datelike;
use fastrand::Rng;

use super::replies::{Class, EXPIRED, NO_ANSWER, NO_SUCH_DOMAIN, Replies};
use super::world::{
    self, DIRTY_JOB, DomainState, HOURS, INCIDENT_VMTA, INCIDENT_WINDOW, PROFILES, Plan, Provider, USERS, World,
};
use super::{Incident, Options};

const MINUTES_PER_DAY: u32 = 1_440;
const SECONDS_PER_DAY: u32 = 86_400;

/// PowerMTA's `bounce-after` in this world, in seconds.
const BOUNCE_AFTER: u32 = 2 * SECONDS_PER_DAY;

/// Seconds before each further attempt; the last one repeats.
const BACKOFF: [u32; 7] = [300, 600, 1_200, 2_400, 4_800, 9_600, 14_400];

/// Per 10,000: deferral of a throttled address during the incident, and unknown users of the dirty list.
const INCIDENT_DEFERRAL: u32 = 8_000;
const DIRTY_UNKNOWN: u32 = 1_200;

/// Per 10,000 messages: bounce mail that comes in and is piped to the bounce processor.
const INBOUND: u32 = 30;

/// One in so many deferrals is logged twice in the same second.
const REPEAT: u32 = 400;

/// What a row will say happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Received,
    Delivered,
    /// A `d` row of inbound mail: it went into a pipe.
    Inbound,
    Bounced,
    Deferred,
    QueueError,
    Complaint,
    RemoteBounce,
    RemoteStatus,
}

/// One message on its way to one recipient; times are seconds since the start of the first day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    /// Unique, and the source of everything incidental about the message.
    pub id: u64,
    pub recipient_hash: u64,
    pub queued: u32,
    pub recipient: u32,
    pub job: u32,
    pub domain: u16,
    pub vmta: u8,
    pub user: u8,
}

/// One thing that happens to a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub message: Message,
    pub at: u32,
    pub reply: u16,
    pub attempt: u8,
    pub kind: Kind,
    /// The first deferral of this message, at all and in its hour.
    pub first: bool,
    pub first_in_hour: bool,
}

/// A job of one day.
pub(super) struct Job {
    pub name: String,
    pub user: usize,
    pub plan: &'static Plan,
    pub dirty: bool,
    size: u64,
    sent: u64,
    /// First recipient of the user's list, and how long that list is.
    offset: u64,
    list: u64,
}

/// The play, from the first minute to the last.
pub(super) struct Traffic<'a> {
    options: &'a Options,
    world: &'a World,
    replies: &'a Replies,
    rng: Rng,
    pub jobs: Vec<Job>,
    /// Jobs of the day at hand: the tail of `jobs` from here.
    today: usize,
    counter: u64,
    latencies: Vec<Vec<u16>>,
    /// Events by minute, the front being the minute at hand.
    ring: VecDeque<Vec<Event>>,
    minute: u32,
    incident: Option<(u32, u32)>,
}

impl<'a> Traffic<'a> {
    /// Sets the scene.
    pub fn new(options: &'a Options, world: &'a World, replies: &'a Replies) -> Self {
        let mut rng = Rng::with_seed(world::mix(options.seed ^ 0xD3_40));
        let latencies = PROFILES.iter().map(|p| latency_table(&mut rng, p.median, p.sigma)).collect();
        let incident = (options.incident == Incident::Demo && options.days > 0).then(|| {
            let day = (options.days - 1) * SECONDS_PER_DAY;
            (day + INCIDENT_WINDOW.0, day + INCIDENT_WINDOW.1)
        });
        Self {
            options,
            world,
            replies,
            rng,
            jobs: Vec::new(),
            today: 0,
            counter: 0,
            latencies,
            ring: VecDeque::new(),
            minute: 0,
            incident,
        }
    }

    /// When the scripted throttling begins and ends, in seconds since the start.
    pub fn incident_window(&self) -> Option<(u32, u32)> {
        self.incident
    }

    /// How many messages were submitted so far.
    pub fn submitted(&self) -> u64 {
        self.counter
    }

    /// Plays one minute and fills `events` with it, in order of time; false once the last minute is over.
    pub fn minute(&mut self, events: &mut Vec<Event>) -> bool {
        events.clear();
        let sending = self.options.days * MINUTES_PER_DAY;
        if self.minute >= sending + self.options.tail_days * MINUTES_PER_DAY {
            return false;
        }
        if self.minute < sending {
            if self.minute.is_multiple_of(MINUTES_PER_DAY) {
                self.plan_day(self.minute / MINUTES_PER_DAY);
            }
            self.submit_minute();
        }
        if let Some(mut bucket) = self.ring.pop_front() {
            bucket.sort_by_key(|event| event.at);
            // Not recycled: a ring of four days of once full minutes would hold on to hundreds of megabytes.
            *events = bucket;
        }
        self.minute += 1;
        true
    }

    fn plan_day(&mut self, day: u32) {
        self.today = self.jobs.len();
        let date = self.options.start + chrono::Days::new(u64::from(day));
        let number = date.num_days_from_ce() % 10_000;
        let users = self.options.users.clamp(1, USERS.len());
        let shares: u64 = USERS[..users].iter().map(|u| u64::from(u.share)).sum();
        let weights: Vec<f64> = USERS[..users]
            .iter()
            .flat_map(|user| {
                let jitter: Vec<f64> =
                    user.plans.iter().map(|plan| f64::from(plan.weight) * (0.8 + 0.4 * self.rng.f64())).collect();
                let total: f64 = jitter.iter().sum();
                jitter.into_iter().map(move |w| w / total * f64::from(user.share) / shares as f64)
            })
            .collect();
        let sizes = apportion(self.options.messages_per_day, &weights);
        let plans =
            USERS[..users].iter().enumerate().flat_map(|(u, user)| user.plans.iter().enumerate().map(move |p| (u, p)));
        for ((user, (index, plan)), size) in plans.zip(sizes) {
            let about = &USERS[user];
            // Twice a user's daily volume and some: no job meets a recipient twice.
            let list = 2 * (self.options.messages_per_day * u64::from(about.share) / shares) + 1_000;
            let last_day = day + 1 == self.options.days;
            self.jobs.push(Job {
                name: format!("{}{sep}{}{sep}{number:04}", about.name, plan.campaign, sep = about.separator),
                user,
                plan,
                dirty: self.incident.is_some() && last_day && (user, index) == DIRTY_JOB,
                size,
                sent: 0,
                offset: self.rng.u64(..list),
                list,
            });
        }
    }

    fn submit_minute(&mut self) {
        let minute = self.minute % MINUTES_PER_DAY;
        for job in self.today..self.jobs.len() {
            let due = due_by(self.jobs[job].plan, self.jobs[job].size, minute + 1);
            while self.jobs[job].sent < due {
                let at = self.minute * 60 + self.rng.u32(..60);
                self.submit(job, at);
                self.jobs[job].sent += 1;
            }
        }
    }

    fn submit(&mut self, job: usize, at: u32) {
        let Job { user, sent, offset, list, .. } = self.jobs[job];
        self.counter += 1;
        // A list of more than four billion recipients would wrap; no option reaches that in practice.
        let recipient = ((offset + sent) % list) as u32;
        let hash = self.world.recipient_hash(user, recipient);
        let (first, count) = world::POOL_RANGES[USERS[user].pool];
        let message = Message {
            id: world::mix(self.options.seed ^ self.counter),
            recipient_hash: hash,
            queued: at,
            recipient,
            job: job as u32,
            domain: self.world.domain_of(hash),
            vmta: first + ((hash >> 40) % u64::from(count)) as u8,
            user: user as u8,
        };
        if self.options.received {
            self.push(message, Kind::Received, at, 0, 0);
        }
        self.deliver(message);
        if self.chance(INBOUND) {
            let at = at + self.rng.u32(1..40);
            self.push(message, Kind::Inbound, at, 0, 0);
        }
    }

    fn deliver(&mut self, message: Message) {
        let domain = &self.world.domains[usize::from(message.domain)];
        let profile = &PROFILES[domain.profile];
        match domain.state {
            DomainState::Missing => {
                return self.push(message, Kind::Bounced, message.queued + 1, NO_SUCH_DOMAIN, 0);
            }
            DomainState::Silent => return self.wait_in_vain(message),
            DomainState::Answers => {}
        }
        let latency = self.latency(domain.profile);
        let trouble = USERS[usize::from(message.user)].trouble;
        let mut chance = profile.deferral * trouble / 100;
        let mut at = message.queued + latency;
        let mut attempt = 0;
        let mut hour = None;
        loop {
            if at - message.queued > BOUNCE_AFTER {
                return self.push(message, Kind::Bounced, at, EXPIRED, attempt);
            }
            let throttled = self.throttled(message, profile.provider, at);
            if !self.chance(if throttled { INCIDENT_DEFERRAL } else { chance }) {
                at += if throttled { self.rng.u32(20..300) } else { 0 };
                break;
            }
            let (kind, reply) = self.draw_deferral(domain.profile, throttled);
            if kind == Kind::Deferred {
                let this_hour = at / 3_600;
                let event = Event {
                    first: hour.is_none(),
                    first_in_hour: hour != Some(this_hour),
                    ..event(message, kind, at, reply, attempt)
                };
                hour = Some(this_hour);
                self.put(event);
                if self.rng.u32(..REPEAT) == 0 {
                    self.put(Event { first: false, first_in_hour: false, ..event });
                }
            } else {
                self.push(message, kind, at, reply, attempt);
            }
            chance = self.replies.all[usize::from(reply)].class.again();
            at += self.backoff(attempt);
            attempt += 1;
        }
        self.conclude(message, at, attempt);
    }

    /// The last attempt: delivered, or bounced by the receiver.
    fn conclude(&mut self, message: Message, at: u32, attempt: u8) {
        let profile = self.world.domains[usize::from(message.domain)].profile;
        let choice = &self.replies.profiles[profile];
        if self.jobs[message.job as usize].dirty && self.chance(DIRTY_UNKNOWN) {
            let reply = pick(&mut self.rng, &choice.unknown);
            return self.push(message, Kind::Bounced, at, reply, attempt);
        }
        let trouble = USERS[usize::from(message.user)].trouble;
        if self.chance(PROFILES[profile].bounce * trouble / 100) {
            let reply = pick(&mut self.rng, &choice.bounce);
            return self.push(message, Kind::Bounced, at, reply, attempt);
        }
        self.push(message, Kind::Delivered, at, 0, attempt);
        self.afterwards(message, profile, at, trouble);
    }

    /// What may come back after a delivery: a complaint, or the receiver's own bounce.
    fn afterwards(&mut self, message: Message, profile: usize, at: u32, trouble: u32) {
        let about = &PROFILES[profile];
        let draw = self.rng.u32(..100_000);
        let annoyed = if self.jobs[message.job as usize].dirty { 3 } else { 1 };
        if draw < annoyed * about.complaint * trouble * trouble / 10_000 {
            // Most complain within hours, some after a day and a half.
            let at = at + 120 + (self.rng.f64().powi(3) * 40.0 * 3_600.0) as u32;
            return self.push(message, Kind::Complaint, at, 0, 0);
        }
        let hosted = matches!(about.provider, Provider::Other | Provider::Proofpoint) || profile == 4;
        if draw > 99_999 - if hosted { 500 } else { 15 } {
            let reply = pick(&mut self.rng, &self.replies.profiles[profile].bounce);
            let at = at + self.rng.u32(600..6 * 3_600);
            let kind = if draw.is_multiple_of(6) { Kind::RemoteStatus } else { Kind::RemoteBounce };
            self.push(message, kind, at, reply, 0);
        }
    }

    /// A host that never answers: only the queue has something to log until the message expires.
    fn wait_in_vain(&mut self, message: Message) {
        let mut at = message.queued + 30;
        let mut attempt = 0;
        while at - message.queued <= BOUNCE_AFTER {
            self.push(message, Kind::QueueError, at, NO_ANSWER, attempt);
            at += self.backoff(attempt);
            attempt += 1;
        }
        self.push(message, Kind::Bounced, at, if message.id & 1 == 0 { EXPIRED } else { NO_ANSWER }, attempt);
    }

    fn draw_deferral(&mut self, profile: usize, throttled: bool) -> (Kind, u16) {
        let choice = &self.replies.profiles[profile];
        if throttled && !choice.rate_limit.is_empty() {
            return (Kind::Deferred, pick(&mut self.rng, &choice.rate_limit));
        }
        if !choice.greet.is_empty() && self.rng.u32(..100) < 15 {
            return (Kind::QueueError, pick(&mut self.rng, &choice.greet));
        }
        (Kind::Deferred, pick(&mut self.rng, &choice.defer))
    }

    fn throttled(&self, message: Message, provider: Provider, at: u32) -> bool {
        provider == Provider::Google
            && message.vmta == INCIDENT_VMTA
            && self.incident.is_some_and(|(from, to)| (from..to).contains(&at))
    }

    fn latency(&mut self, profile: usize) -> u32 {
        let table = &self.latencies[profile];
        u32::from(table[self.rng.usize(..table.len())])
    }

    fn backoff(&mut self, attempt: u8) -> u32 {
        let step = BACKOFF[usize::from(attempt).min(BACKOFF.len() - 1)];
        step * self.rng.u32(75..=125) / 100
    }

    fn chance(&mut self, per_10_000: u32) -> bool {
        self.rng.u32(..10_000) < per_10_000
    }

    fn push(&mut self, message: Message, kind: Kind, at: u32, reply: u16, attempt: u8) {
        self.put(event(message, kind, at, reply, attempt));
    }

    fn put(&mut self, event: Event) {
        let ahead = (event.at / 60 - self.minute) as usize;
        if ahead >= self.ring.len() {
            self.ring.resize_with(ahead + 1, Vec::new);
        }
        self.ring[ahead].push(event);
    }
}

/// Whether a delivery deferred for this class is an incident's doing.
pub(super) fn is_incident_reply(class: Class) -> bool {
    class == Class::ThrottleReputation
}

fn event(message: Message, kind: Kind, at: u32, reply: u16, attempt: u8) -> Event {
    Event { message, at, reply, attempt, kind, first: false, first_in_hour: false }
}

fn pick(rng: &mut Rng, from: &[u16]) -> u16 {
    from[rng.usize(..from.len())]
}

/// Splits a whole number by weights that add up to 1, exactly.
fn apportion(total: u64, weights: &[f64]) -> Vec<u64> {
    let mut sum = 0.0;
    let mut given = 0;
    let last = weights.len().saturating_sub(1);
    weights
        .iter()
        .enumerate()
        .map(|(index, weight)| {
            sum += weight;
            let upto = if index == last { total } else { ((total as f64 * sum) as u64).min(total) };
            let part = upto - given;
            given = upto;
            part
        })
        .collect()
}

/// How many of a job's messages have been submitted by the end of a minute of the day.
fn due_by(plan: &Plan, size: u64, minute: u32) -> u64 {
    let share = if plan.minutes == MINUTES_PER_DAY {
        let (hour, rest) = ((minute / 60) as usize, minute % 60);
        let before: u32 = HOURS[..hour].iter().sum();
        let within = HOURS.get(hour).map_or(0.0, |weight| f64::from(*weight) * f64::from(rest) / 60.0);
        (f64::from(before) + within) / f64::from(HOURS.iter().sum::<u32>())
    } else {
        // Campaigns start at full speed and slow down.
        let left = 1.0 - (f64::from(minute.saturating_sub(plan.start)) / f64::from(plan.minutes)).min(1.0);
        1.0 - left * left
    };
    if share >= 1.0 { size } else { (size as f64 * share) as u64 }
}

/// Draws of a lognormal latency, in seconds; the far tail is cut, deferrals make their own.
fn latency_table(rng: &mut Rng, median: f64, sigma: f64) -> Vec<u16> {
    (0..4_096)
        .map(|_| {
            let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
            let normal = radius * (std::f64::consts::TAU * rng.f64()).cos();
            (median * (sigma * normal).exp()).min(240.0) as u16
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_day_add_up_to_the_day() {
        let parts = apportion(1_000_003, &[0.3, 0.3, 0.3, 0.1]);
        assert_eq!(parts.iter().sum::<u64>(), 1_000_003);
        assert!(parts[0].abs_diff(300_000) < 2);
    }

    #[test]
    fn every_job_is_sent_by_midnight() {
        for plan in USERS.iter().flat_map(|user| user.plans) {
            assert_eq!(due_by(plan, 12_345, MINUTES_PER_DAY), 12_345, "{}", plan.campaign);
            assert_eq!(due_by(plan, 12_345, 0), 0, "{}", plan.campaign);
        }
    }

    #[test]
    fn events_come_in_order_of_time_and_messages_are_exact() {
        let options = Options { messages_per_day: 3_000, days: 2, ..Options::default() };
        let (world, replies) = (World::new(options.seed), Replies::new());
        let mut traffic = Traffic::new(&options, &world, &replies);
        let (mut events, mut last, mut received) = (Vec::new(), 0, 0);
        while traffic.minute(&mut events) {
            for event in &events {
                assert!(event.at >= last && event.at >= event.message.queued);
                last = event.at;
                received += u64::from(event.kind == Kind::Received);
            }
        }
        assert_eq!((received, traffic.submitted()), (6_000, 6_000));
    }

    #[test]
    fn no_job_writes_twice_to_a_recipient() {
        let options = Options { messages_per_day: 5_000, days: 2, ..Options::default() };
        let (world, replies) = (World::new(options.seed), Replies::new());
        let mut traffic = Traffic::new(&options, &world, &replies);
        let mut seen = std::collections::HashSet::new();
        let mut events = Vec::new();
        while traffic.minute(&mut events) {
            for event in events.iter().filter(|e| e.kind == Kind::Received) {
                assert!(seen.insert((event.message.job, event.message.recipient)));
            }
        }
    }
}

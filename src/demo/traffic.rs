//! Plays the demo's mail minute by minute: jobs submit messages, attempts defer, deliver or bounce, and what comes
//! hours later (complaints, remote bounces) waits in a ring of minutes. Hands on events in the order of their time.

use std::collections::{HashSet, VecDeque};

use chrono::Datelike;
use fastrand::Rng;

use super::plot::{self, Plot};
use super::replies::{Class, EXPIRED, NO_ANSWER, NO_SUCH_DOMAIN, Replies};
use super::variety::{self, Planned, Variety};
use super::world::{self, DIRTY_JOB, DomainState, HOURS, INCIDENT_WINDOW, PROFILES, Plan, Provider, USERS, World};
use super::{Incident, Options};

const MINUTES_PER_DAY: u32 = 1_440;
const SECONDS_PER_DAY: u32 = 86_400;

/// PowerMTA's `bounce-after` in this world, in seconds.
const BOUNCE_AFTER: u32 = 2 * SECONDS_PER_DAY;

/// Seconds before each further attempt; the last one repeats.
const BACKOFF: [u32; 7] = [300, 600, 1_200, 2_400, 4_800, 9_600, 14_400];

/// Seconds between the attempts of a queue whose hosts don't answer; the last one repeats.
const QUEUE_RETRY: [u32; 4] = [60, 120, 300, 600];

/// Minutes in which mail held back by an injector is sent when it is up again.
const CATCH_UP: u32 = 30;

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
    /// Number of the plot whose doing it is, from 1; 0 for everyday life.
    pub plot: u8,
}

/// A job of one day.
pub(super) struct Job {
    pub name: String,
    pub user: usize,
    pub plan: &'static Plan,
    pub dirty: bool,
    /// Minute of the day of its first message, and how many minutes it takes.
    pub start: u32,
    pub minutes: u32,
    pub size: u64,
    /// Whether the user sends it every week.
    pub usual: bool,
    /// Percent of its user's usual trouble.
    trouble: u32,
    sent: u64,
    /// Due, but held back by an injector that is down.
    held: u64,
    /// First recipient of the user's list, and how long that list is.
    offset: u64,
    list: u64,
}

impl Job {
    /// Makes it so many times larger, and its list as well.
    pub fn enlarge(&mut self, times: f64) {
        self.size = (self.size as f64 * times) as u64;
        self.list = self.list.max(2 * self.size + 1_000);
    }
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
    variety: Variety,
    /// What is hidden.
    pub plots: Vec<Plot>,
    /// Times of messages that an injector should have sent and did not.
    pub withheld: Vec<u32>,
    /// Queues (a domain or roll-up, and a VMTA) that are known to get no answer.
    silent: HashSet<(usize, u8)>,
}

impl<'a> Traffic<'a> {
    /// Sets the scene.
    pub fn new(options: &'a Options, world: &'a World, replies: &'a Replies) -> Self {
        let mut rng = Rng::with_seed(world::mix(options.seed ^ 0xD3_40));
        let latencies = PROFILES.iter().map(|p| latency_table(&mut rng, p.median, p.sigma)).collect();
        let mut plots = Vec::new();
        if options.incident == Incident::Demo && options.days > 0 {
            plots.extend(Plot::demo(options.days - 1, replies));
        }
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
            variety: Variety::new(options.seed, options.vary, options.users),
            plots,
            withheld: Vec::new(),
            silent: HashSet::new(),
        }
    }

    /// When the scripted throttling begins and ends, in seconds since the start.
    pub fn incident_window(&self) -> Option<(u32, u32)> {
        (self.options.incident == Incident::Demo && self.options.days > 0).then(|| {
            let day = (self.options.days - 1) * SECONDS_PER_DAY;
            (day + INCIDENT_WINDOW.0, day + INCIDENT_WINDOW.1)
        })
    }

    /// How many messages were submitted so far.
    pub fn submitted(&self) -> u64 {
        self.counter
    }

    /// Plays one minute and fills `events` with it, in order of time; false once the last minute is over.
    pub fn minute(&mut self, events: &mut Vec<Event>) -> bool {
        events.clear();
        let logging = (self.options.days + self.options.tail_days) * MINUTES_PER_DAY;
        let sending = if self.options.goes_on() { logging } else { self.options.days * MINUTES_PER_DAY };
        if self.minute >= logging {
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
        let planned = if self.variety.is_on() {
            self.variety.plan(date, day, self.options.messages_per_day, self.world)
        } else {
            self.plan_alike()
        };
        let users = self.options.users.clamp(1, USERS.len());
        let shares: u64 = USERS[..users].iter().map(|u| u64::from(u.share)).sum();
        for Planned { user, plan, start, size, usual, trouble } in planned {
            let about = &USERS[user];
            // Twice a user's daily volume and some: no job meets a recipient twice.
            let usual_list = 2 * (self.options.messages_per_day * u64::from(about.share) / shares) + 1_000;
            let list = if self.variety.is_on() { usual_list.max(2 * size + 1_000) } else { usual_list };
            let (start, minutes) = (start.min(MINUTES_PER_DAY - plan.minutes), plan.minutes);
            self.jobs.push(Job {
                name: format!("{}{sep}{}{sep}{number:04}", about.name, plan.campaign, sep = about.separator),
                user,
                plan,
                dirty: false,
                start,
                minutes,
                size,
                usual,
                trouble,
                sent: 0,
                held: 0,
                offset: self.rng.u64(..list),
                list,
            });
        }
        if day + 1 == self.options.days {
            self.hide(day);
        }
    }

    /// Every user's every plan, the volume exactly as asked.
    fn plan_alike(&mut self) -> Vec<Planned> {
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
            USERS[..users].iter().enumerate().flat_map(|(u, user)| user.plans.iter().map(move |plan| (u, plan)));
        plans
            .zip(sizes)
            .map(|((user, plan), size)| Planned { user, plan, start: plan.start, size, usual: true, trouble: 100 })
            .collect()
    }

    /// Hides the incident in the jobs of the day at hand, the last one.
    fn hide(&mut self, day: u32) {
        let first = self.today as u32;
        let chosen = plot::choose(
            self.options.incident,
            self.options.seed,
            self.world,
            &mut self.jobs[self.today..],
            first,
            day,
        );
        self.plots.extend(chosen);
        if self.options.incident == Incident::Demo {
            let (user, plan) = DIRTY_JOB;
            let dirty = (self.today..self.jobs.len()).find(|job| {
                self.jobs[*job].user == user && self.jobs[*job].plan.campaign == USERS[user].plans[plan].campaign
            });
            for plot in self.plots.iter_mut().filter(|plot| plot.kind == Incident::DirtyList) {
                plot.target.job = dirty.map(|job| job as u32);
            }
        }
        for plot in self.plots.iter().filter(|plot| plot.kind == Incident::DirtyList) {
            if let Some(job) = plot.target.job {
                self.jobs[job as usize].dirty = true;
            }
        }
    }

    fn submit_minute(&mut self) {
        let minute = self.minute % MINUTES_PER_DAY;
        for job in self.today..self.jobs.len() {
            let Job { start, minutes, size, .. } = self.jobs[job];
            let due = due_by(start, minutes, size, minute + 1) - self.held_back(job, minute);
            while self.jobs[job].sent < due {
                let at = self.minute * 60 + self.rng.u32(..60);
                self.submit(job, at);
                self.jobs[job].sent += 1;
            }
        }
    }

    /// How many of a job's messages an injector that is down, or just up again, holds back now.
    fn held_back(&mut self, job: usize, minute: u32) -> u64 {
        let Some(plot) = self.plots.iter().find(|plot| plot.kind == Incident::VolumeDrop) else {
            return 0;
        };
        let Job { user, start, minutes, size, sent, held, .. } = self.jobs[job];
        if plot.target.user.is_some_and(|of| of != user) {
            return 0;
        }
        let (now, up) = (self.minute * 60, plot.to);
        let held = if (plot.from..up).contains(&now) {
            let due = due_by(start, minutes, size, minute + 1);
            let fresh = due.saturating_sub(sent + held);
            self.withheld.extend((0..fresh).map(|_| now + 30));
            held + fresh
        } else if plot.twist && now >= up && held > 0 {
            let left = CATCH_UP.saturating_sub((now - up) / 60).max(1);
            held - held.div_ceil(u64::from(left))
        } else {
            held
        };
        self.jobs[job].held = held;
        held
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
        match domain.state {
            DomainState::Missing => {
                return self.push(message, Kind::Bounced, message.queued + 1, NO_SUCH_DOMAIN, 0);
            }
            DomainState::Silent => return self.wait_in_vain(message),
            DomainState::Answers => {}
        }
        let latency = self.latency(domain.profile);
        let (slowness, slowed) = self.slowness(&message, domain.profile);
        let latency = if slowness > 1.0 { ((f64::from(latency) + 0.5) * slowness) as u32 } else { latency };
        let trouble = self.variety.trouble(message.user);
        let mut chance = self.variety.deferral(domain.profile) * trouble / 100;
        let mut at = message.queued + latency;
        let mut attempt = 0;
        let mut hour = None;
        loop {
            if at - message.queued > BOUNCE_AFTER {
                return self.push(message, Kind::Bounced, at, EXPIRED, attempt);
            }
            if self.refused(message, domain.profile, at, attempt) {
                return;
            }
            if let Some(plot) = self.plot(Incident::Outage, &message, domain.profile, at) {
                at = self.unanswered(message, domain.profile, at, attempt, plot, &mut hour);
                attempt += 1;
                continue;
            }
            let throttling = self.throttling(&message, domain.profile, at);
            let odd = self.variety.odd(domain.profile, at);
            let likely = match throttling {
                Some(plot) => self.plots[plot].chance,
                None if odd.is_some() => 10_000,
                None => self.variety.wave(domain.profile, at, chance),
            };
            if !self.chance(likely) {
                at += if throttling.is_some() { self.rng.u32(20..300) } else { 0 };
                break;
            }
            let (kind, reply) = self.draw_deferral(domain.profile, throttling, odd);
            let event = Event { plot: number(throttling), ..event(message, kind, at, reply, attempt) };
            self.defer(event, &mut hour);
            chance = self.replies.all[usize::from(reply)].class.again();
            at += self.backoff(attempt);
            attempt += 1;
        }
        // What was put off is late for that, however slow deliveries are.
        self.conclude(message, at, attempt, if attempt == 0 { slowed } else { 0 });
    }

    /// Logs a deferral or queue error; `hour` is that of the message's last deferral.
    fn defer(&mut self, event: Event, hour: &mut Option<u32>) {
        if event.kind != Kind::Deferred {
            return self.put(event);
        }
        let this_hour = event.at / 3_600;
        let event = Event { first: hour.is_none(), first_in_hour: *hour != Some(this_hour), ..event };
        *hour = Some(this_hour);
        self.put(event);
        if self.rng.u32(..REPEAT) == 0 {
            self.put(Event { first: false, first_in_hour: false, ..event });
        }
    }

    /// Bounces a message whose address is on a blocklist or whose domain fails its checks, if the receiver minds.
    fn refused(&mut self, message: Message, profile: usize, at: u32, attempt: u8) -> bool {
        for index in 0..self.plots.len() {
            let plot = &self.plots[index];
            if !matches!(plot.kind, Incident::Spamhaus | Incident::Dmarc) || !plot.hits(&message, profile, at) {
                continue;
            }
            let (chance, answers) = (plot.chance, plot.answers_of(profile, message.domain).to_vec());
            if !answers.is_empty() && self.chance(chance) {
                let reply = pick(&mut self.rng, &answers);
                self.put(Event { plot: number(Some(index)), ..event(message, Kind::Bounced, at, reply, attempt) });
                return true;
            }
        }
        false
    }

    /// An attempt at hosts that are out: the queue logs its errors, sometimes the message as well. Returns when the
    /// message is tried again.
    fn unanswered(
        &mut self,
        message: Message,
        profile: usize,
        at: u32,
        attempt: u8,
        plot: usize,
        hour: &mut Option<u32>,
    ) -> u32 {
        let (until, tells) = (self.plots[plot].to, self.plots[plot].twist);
        let mark = number(Some(plot));
        // Domains that share a queue share its errors.
        let queue =
            if PROFILES[profile].provider == Provider::Yahoo { usize::MAX } else { usize::from(message.domain) };
        if self.silent.insert((queue, message.vmta)) {
            let (mut next, mut turn) = (at, 0_u8);
            while next < until {
                self.put(Event { plot: mark, ..event(message, Kind::QueueError, next, NO_ANSWER, turn) });
                let step = QUEUE_RETRY[usize::from(turn).min(QUEUE_RETRY.len() - 1)];
                next += step * self.rng.u32(85..=115) / 100;
                turn = turn.saturating_add(1);
            }
        }
        if !tells {
            return until + self.rng.u32(5..900);
        }
        self.defer(Event { plot: mark, ..event(message, Kind::Deferred, at, NO_ANSWER, attempt) }, hour);
        at + self.backoff(attempt)
    }

    /// The last attempt: delivered, or bounced by the receiver. `slowed` is the plot that made it late, from 1.
    fn conclude(&mut self, message: Message, at: u32, attempt: u8, slowed: u8) {
        let profile = self.world.domains[usize::from(message.domain)].profile;
        let choice = &self.replies.profiles[profile];
        if let Some(plot) = self.of_job(Incident::DirtyList, &message)
            && self.chance(self.plots[plot].chance)
        {
            let reply = pick(&mut self.rng, &choice.unknown);
            return self.put(Event { plot: number(Some(plot)), ..event(message, Kind::Bounced, at, reply, attempt) });
        }
        let trouble = self.variety.trouble(message.user) * self.jobs[message.job as usize].trouble / 100;
        if self.chance(self.variety.bounce(profile) * trouble / 100) {
            let reply = pick(&mut self.rng, &choice.bounce);
            return self.push(message, Kind::Bounced, at, reply, attempt);
        }
        self.put(Event { plot: slowed, ..event(message, Kind::Delivered, at, 0, attempt) });
        self.afterwards(message, profile, at, trouble);
    }

    /// What may come back after a delivery: a complaint, or the receiver's own bounce.
    fn afterwards(&mut self, message: Message, profile: usize, at: u32, trouble: u32) {
        let about = &PROFILES[profile];
        if let Some(plot) = self.of_job(Incident::Complaints, &message)
            && about.complaint > 0
            && self.chance(self.plots[plot].chance)
        {
            // Who is angry says so when the mail is opened: within the hour, mostly.
            let delay = 2_400.0 * (0.8 * variety::normal(&mut self.rng)).exp();
            let at = at + (delay as u32).clamp(60, 6 * 3_600);
            return self.put(Event { plot: number(Some(plot)), ..event(message, Kind::Complaint, at, 0, 0) });
        }
        let draw = self.rng.u32(..100_000);
        let annoyed = if self.jobs[message.job as usize].dirty { 3 } else { 1 };
        if draw < annoyed * self.variety.complaint(profile) * trouble * trouble / 10_000 {
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

    fn draw_deferral(&mut self, profile: usize, throttling: Option<usize>, odd: Option<u16>) -> (Kind, u16) {
        let choice = &self.replies.profiles[profile];
        if let Some(plot) = throttling {
            let answers = &self.plots[plot].answers[PROFILES[profile].provider as usize];
            if !answers.is_empty() {
                return (Kind::Deferred, pick(&mut self.rng, answers));
            }
        }
        if let Some(reply) = odd {
            return (Kind::Deferred, reply);
        }
        if !choice.greet.is_empty() && self.rng.u32(..100) < 15 {
            return (Kind::QueueError, pick(&mut self.rng, &choice.greet));
        }
        (Kind::Deferred, pick(&mut self.rng, &choice.defer))
    }

    /// The plot of a kind that hits an attempt.
    fn plot(&self, kind: Incident, message: &Message, profile: usize, at: u32) -> Option<usize> {
        self.plots.iter().position(|plot| plot.kind == kind && plot.hits(message, profile, at))
    }

    fn throttling(&self, message: &Message, profile: usize, at: u32) -> Option<usize> {
        self.plot(Incident::GoogleThrottle, message, profile, at)
            .or_else(|| self.plot(Incident::YahooTss04, message, profile, at))
    }

    /// The plot of a kind that is about a message's job, at any time.
    fn of_job(&self, kind: Incident, message: &Message) -> Option<usize> {
        self.plots.iter().position(|plot| plot.kind == kind && plot.target.job == Some(message.job))
    }

    /// How many times slower than usual a message is delivered, and the plot whose doing it is, from 1.
    fn slowness(&self, message: &Message, profile: usize) -> (f64, u8) {
        let passing = self.variety.slowness(profile, message.queued);
        let Some(plot) = self.plot(Incident::LatencyCreep, message, profile, message.queued) else {
            return (passing, 0);
        };
        let creeping = self.plots[plot].slowness(message.queued);
        (passing.max(creeping), if creeping >= plot::SLOW { number(Some(plot)) } else { 0 })
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
    Event { message, at, reply, attempt, kind, first: false, first_in_hour: false, plot: 0 }
}

/// A plot's number as events carry it.
fn number(plot: Option<usize>) -> u8 {
    plot.map_or(0, |plot| u8::try_from(plot + 1).unwrap_or(u8::MAX))
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
pub(super) fn due_by(start: u32, minutes: u32, size: u64, minute: u32) -> u64 {
    let share = if minutes == MINUTES_PER_DAY {
        let (hour, rest) = ((minute / 60) as usize, minute % 60);
        let before: u32 = HOURS[..hour].iter().sum();
        let within = HOURS.get(hour).map_or(0.0, |weight| f64::from(*weight) * f64::from(rest) / 60.0);
        (f64::from(before) + within) / f64::from(HOURS.iter().sum::<u32>())
    } else {
        // Campaigns start at full speed and slow down.
        let left = 1.0 - (f64::from(minute.saturating_sub(start)) / f64::from(minutes)).min(1.0);
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
            assert_eq!(due_by(plan.start, plan.minutes, 12_345, MINUTES_PER_DAY), 12_345, "{}", plan.campaign);
            assert_eq!(due_by(plan.start, plan.minutes, 12_345, 0), 0, "{}", plan.campaign);
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

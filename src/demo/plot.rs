//! The incidents that can be hidden in the logs: what each does to which mail, and how a seed chooses whom it hits,
//! when, for how long and how hard, so that an attentive operator would see it in the rows.

use fastrand::Rng;

use super::Incident;
use super::replies::{Replies, Script, scripted};
use super::traffic::{Job, Message, due_by};
use super::variety::between;
use super::world::{
    self, DomainState, INCIDENT_VMTA, INCIDENT_WINDOW, PROFILES, PROVIDER_NAMES, Provider, USERS, VMTAS, World,
};

const DAY: u32 = 86_400;
const MINUTES_PER_DAY: u32 = 1_440;

/// Per 10,000: deferral of the throttled address in the demo, and unknown users of its dirty list.
const DEMO_DEFERRAL: u32 = 8_000;
const DEMO_UNKNOWN: u32 = 1_200;

/// From how many times the usual on a delivery counts as affected by a creeping latency.
pub(super) const SLOW: f64 = 3.0;

/// How many times larger than planned a job becomes at most, so that what hits it shows.
const MOST_LARGER: f64 = 4.0;

/// Providers that can be out, each as a whole.
#[rustfmt::skip]
const OUTAGES: [Provider; 10] = [
    Provider::Yahoo, Provider::Apple, Provider::Gmx, Provider::Orange, Provider::Comcast, Provider::TOnline, Provider::MailRu,
    Provider::Yandex, Provider::Att, Provider::Google,
];

/// Providers whose deliveries can become slow.
const CREEPS: [Provider; 5] = [Provider::Google, Provider::Yahoo, Provider::Microsoft, Provider::Apple, Provider::Gmx];

/// Providers that ask Spamhaus if the seed says so, and those that refuse what fails DMARC.
const LISTENERS: [Provider; 4] = [Provider::Yahoo, Provider::Comcast, Provider::Cox, Provider::Spectrum];
const STRICT: [Provider; 3] = [Provider::Comcast, Provider::Apple, Provider::Proofpoint];

/// Whom a plot hits; what is none hits all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Target {
    pub provider: Option<Provider>,
    pub domain: Option<u16>,
    pub vmta: Option<u8>,
    pub pool: Option<usize>,
    pub user: Option<usize>,
    pub job: Option<u32>,
}

/// One hidden incident; times are seconds since the start of the first day.
pub(super) struct Plot {
    pub kind: Incident,
    pub target: Target,
    pub from: u32,
    pub to: u32,
    /// Of 10,000 attempts, messages or deliveries: how many are hit.
    pub chance: u32,
    /// What receivers answer, by provider; empty where they don't mind.
    pub answers: Vec<Vec<u16>>,
    /// A creeping latency: how many times the usual it ends up with, and after how many seconds.
    peak: f64,
    ramp: u32,
    /// The other way it can look: t rows during an outage, mail sent later after a silence.
    pub twist: bool,
}

impl Plot {
    fn new(kind: Incident, target: Target, from: u32, to: u32) -> Self {
        let answers = vec![Vec::new(); PROVIDER_NAMES.len()];
        Self { kind, target, from, to, chance: 10_000, answers, peak: 1.0, ramp: 1, twist: false }
    }

    /// The two incidents of the demo day; the dirty job gets its number when it is planned.
    pub fn demo(day: u32, replies: &Replies) -> [Self; 2] {
        let google = Target { provider: Some(Provider::Google), vmta: Some(INCIDENT_VMTA), ..Target::default() };
        let (from, to) = (day * DAY + INCIDENT_WINDOW.0, day * DAY + INCIDENT_WINDOW.1);
        let mut throttling = Self::new(Incident::GoogleThrottle, google, from, to);
        throttling.chance = DEMO_DEFERRAL;
        throttling.answers[Provider::Google as usize].clone_from(&replies.profiles[0].rate_limit);
        let user = Target { user: Some(world::DIRTY_JOB.0), job: Some(u32::MAX), ..Target::default() };
        let mut dirty = Self::new(Incident::DirtyList, user, day * DAY, (day + 1) * DAY);
        dirty.chance = DEMO_UNKNOWN;
        [throttling, dirty]
    }

    /// Whether an attempt, submission or delivery at a time is hit, chance aside.
    pub fn hits(&self, message: &Message, profile: usize, at: u32) -> bool {
        let target = &self.target;
        let vmta = &VMTAS[usize::from(message.vmta)];
        (self.from..self.to).contains(&at)
            && target.provider.is_none_or(|provider| provider == PROFILES[profile].provider)
            && target.domain.is_none_or(|domain| domain == message.domain)
            && target.vmta.is_none_or(|vmta| vmta == message.vmta)
            && target.pool.is_none_or(|pool| pool == vmta.pool)
            && target.user.is_none_or(|user| user == usize::from(message.user))
            && target.job.is_none_or(|job| job == message.job)
    }

    /// What a receiver says to it; not every small domain asks a blocklist.
    pub fn answers_of(&self, profile: usize, domain: u16) -> &[u16] {
        let provider = PROFILES[profile].provider;
        let deaf = self.kind == Incident::Spamhaus && provider == Provider::Other && domain.is_multiple_of(3);
        if deaf { &[] } else { &self.answers[provider as usize] }
    }

    /// How many times slower a delivery is.
    pub fn slowness(&self, at: u32) -> f64 {
        let progress = f64::from(at.saturating_sub(self.from)) / f64::from(self.ramp);
        self.peak.powf(progress.min(1.0))
    }
}

/// How many messages a plot is expected to hit over its time, thin quarters counting against it.
struct Outlook<'a> {
    world: &'a World,
    jobs: &'a [Job],
    base: u32,
}

impl Outlook<'_> {
    fn messages(&self, plot: &Plot) -> f64 {
        let place = self.world.share(|index, domain| {
            let target = &plot.target;
            let asks = matches!(plot.kind, Incident::Spamhaus | Incident::Dmarc);
            domain.state == DomainState::Answers
                && target.provider.is_none_or(|provider| provider == PROFILES[domain.profile].provider)
                && target.domain.is_none_or(|domain| domain == index)
                && (!asks || !plot.answers_of(domain.profile, index).is_empty())
        });
        let quarter = (plot.to - plot.from) / 4;
        let quarters: [f64; 4] = std::array::from_fn(|number| {
            let from = plot.from + quarter * number as u32;
            self.jobs.iter().filter(|job| takes_part(plot, job)).map(|job| self.sent(job, from, from + quarter)).sum()
        });
        if plot.kind == Incident::VolumeDrop {
            // A silence shows by the mail before and after it.
            let around = [(plot.from.saturating_sub(1_800), plot.from), (plot.to, plot.to + 1_800)];
            let sent = |(from, to)| {
                self.jobs.iter().filter(|job| takes_part(plot, job)).map(|job| self.sent(job, from, to)).sum::<f64>()
            };
            if around.into_iter().map(sent).any(|sent| sent < 5.0) {
                return 0.0;
            }
        }
        let thinnest = quarters.iter().copied().fold(f64::INFINITY, f64::min);
        let one_of_pool =
            plot.target.vmta.map_or(1.0, |vmta| 1.0 / f64::from(world::POOL_RANGES[VMTAS[usize::from(vmta)].pool].1));
        let hit = f64::from(plot.chance) / 10_000.0;
        quarters.iter().sum::<f64>().min(thinnest * 6.0) * place * one_of_pool * hit
    }

    fn sent(&self, job: &Job, from: u32, to: u32) -> f64 {
        let minute = |at: u32| (at.saturating_sub(self.base) / 60).min(MINUTES_PER_DAY);
        (due_by(job.start, job.minutes, job.size, minute(to)) - due_by(job.start, job.minutes, job.size, minute(from)))
            as f64
    }
}

/// Whether a user, if it is one, sends enough of the day's mail for his silence to matter.
fn is_main(user: Option<usize>, jobs: &[Job]) -> bool {
    let sum = |of: Option<usize>| -> u64 {
        jobs.iter().filter(|job| of.is_none_or(|user| user == job.user)).map(|job| job.size).sum()
    };
    user.is_none() || 12 * sum(user) >= sum(None)
}

fn takes_part(plot: &Plot, job: &Job) -> bool {
    let pool = USERS[job.user].pool;
    (job.usual || plot.kind != Incident::VolumeDrop)
        && plot.target.user.is_none_or(|user| user == job.user)
        && plot.target.pool.is_none_or(|of| of == pool)
        && plot.target.vmta.is_none_or(|vmta| VMTAS[usize::from(vmta)].pool == pool)
}

/// Chooses an incident of a kind for a day whose jobs are planned, and makes the jobs it hits large enough to show it;
/// `first` is the number of the day's first job. None for kinds without a choice.
pub(super) fn choose(kind: Incident, seed: u64, world: &World, jobs: &mut [Job], first: u32, day: u32) -> Option<Plot> {
    let mut rng = Rng::with_seed(world::mix(seed ^ world::mix(0x91_07 + kind as u64)));
    let base = day * DAY;
    match kind {
        Incident::None | Incident::Demo => return None,
        Incident::DirtyList | Incident::Complaints => return choose_job(kind, &mut rng, world, jobs, first, base),
        _ => {}
    }
    let need = match kind {
        Incident::LatencyCreep => 110.0,
        Incident::VolumeDrop => 70.0,
        Incident::Outage => 16.0,
        _ => 45.0,
    };
    let mut best: Option<(f64, Plot)> = None;
    let one_user = kind == Incident::VolumeDrop && rng.bool();
    for turn in 0..250 {
        let plot = draw(kind, &mut rng, world, base);
        // Every other silence is one user's, where a user is large enough for it.
        if kind == Incident::VolumeDrop
            && (turn < 200 && plot.target.user.is_some() != one_user || !is_main(plot.target.user, jobs))
        {
            continue;
        }
        let messages = Outlook { world, jobs, base }.messages(&plot);
        if best.as_ref().is_none_or(|(most, _)| messages > *most) {
            best = Some((messages, plot));
        }
        // The first that shows, not the one that shows most: moderate ones are wanted too.
        if messages >= need {
            break;
        }
    }
    let (messages, plot) = best?;
    if messages < need && kind != Incident::VolumeDrop {
        let larger = (need / messages.max(1.0)).min(MOST_LARGER);
        for job in jobs.iter_mut().filter(|job| takes_part(&plot, job)) {
            job.enlarge(larger);
        }
    }
    Some(plot)
}

fn draw(kind: Incident, rng: &mut Rng, world: &World, base: u32) -> Plot {
    let mut target = Target::default();
    let minutes = match kind {
        Incident::GoogleThrottle => 110..131,
        Incident::YahooTss04 => 50..360,
        Incident::Spamhaus => 150..600,
        Incident::Dmarc => 90..540,
        Incident::LatencyCreep => 170..400,
        Incident::Outage => 45..280,
        _ => 90..300,
    };
    match kind {
        Incident::GoogleThrottle => {
            target.provider = Some(Provider::Google);
            target.vmta = Some(rng.u8(..VMTAS.len() as u8));
        }
        Incident::YahooTss04 => {
            target.provider = Some(Provider::Yahoo);
            target.pool = Some(rng.usize(..3));
        }
        Incident::Spamhaus => target.vmta = Some(rng.u8(..VMTAS.len() as u8)),
        Incident::Dmarc => target.user = Some(rng.usize(..USERS.len())),
        Incident::LatencyCreep if rng.bool() => target.provider = Some(CREEPS[rng.usize(..CREEPS.len())]),
        Incident::LatencyCreep => target.vmta = Some(rng.u8(..VMTAS.len() as u8)),
        Incident::Outage if rng.u32(..5) == 0 => target.domain = world.find("web.de"),
        Incident::Outage => target.provider = Some(OUTAGES[rng.usize(..OUTAGES.len())]),
        _ => target.user = rng.bool().then(|| rng.usize(..USERS.len())),
    }
    let seconds = rng.u32(minutes.start * 60..minutes.end * 60);
    let from = base + rng.u32(1_800..DAY - 1_800 - seconds);
    let mut plot = Plot::new(kind, target, from, from + seconds);
    plot.twist = rng.bool();
    match kind {
        Incident::GoogleThrottle => {
            plot.chance = rng.u32(5_500..9_600);
            let wordings = scripted(Script::GoogleRate, Provider::Google);
            plot.answers[Provider::Google as usize] = vec![wordings[rng.usize(..wordings.len())]];
        }
        Incident::YahooTss04 => {
            plot.chance = rng.u32(5_000..9_700);
            let wordings = scripted(Script::YahooDefers, Provider::Yahoo);
            plot.answers[Provider::Yahoo as usize] = vec![wordings[rng.usize(..wordings.len())]];
        }
        Incident::Spamhaus => {
            plot.chance = rng.u32(8_500..10_001);
            let sure = [Provider::Other, Provider::Microsoft];
            plot.listen(Script::Spamhaus, &sure, &LISTENERS, rng);
        }
        Incident::Dmarc => {
            // Sometimes only one of two signers is broken.
            plot.chance = if rng.u32(..10) < 3 { rng.u32(4_500..7_000) } else { rng.u32(9_000..10_001) };
            let sure = [Provider::Google, Provider::Yahoo, Provider::Microsoft];
            plot.listen(Script::Dmarc, &sure, &STRICT, rng);
        }
        Incident::LatencyCreep => {
            plot.peak = between(rng, 25.0, 110.0);
            plot.ramp = rng.u32(2_400..6_600);
        }
        _ => {}
    }
    plot
}

impl Plot {
    fn listen(&mut self, script: Script, sure: &[Provider], perhaps: &[Provider], rng: &mut Rng) {
        for provider in sure {
            self.answers[*provider as usize] = scripted(script, *provider);
        }
        for provider in perhaps {
            if rng.u32(..5) < 3 {
                self.answers[*provider as usize] = scripted(script, *provider);
            }
        }
    }
}

/// A dirty list or a wave of complaints belongs to one job, and lasts as long as its mail.
fn choose_job(kind: Incident, rng: &mut Rng, world: &World, jobs: &mut [Job], first: u32, base: u32) -> Option<Plot> {
    let (share, need, rates, highest) = if kind == Incident::Complaints {
        (world.share(|_, domain| PROFILES[domain.profile].complaint > 0), 36.0, 120..500, 800)
    } else {
        (1.0, 45.0, 800..2_001, 2_000)
    };
    let campaigns: Vec<usize> = (0..jobs.len()).filter(|job| jobs[*job].minutes < MINUTES_PER_DAY).collect();
    let largest = campaigns.iter().copied().max_by_key(|job| jobs[*job].size)?;
    // Enlarged and at the highest rate it has to show.
    let least = need / (share * f64::from(highest) / 10_000.0) / MOST_LARGER;
    let fit: Vec<usize> = campaigns.into_iter().filter(|job| jobs[*job].size as f64 >= least).collect();
    let index = if fit.is_empty() { largest } else { fit[rng.usize(..fit.len())] };
    let job = &mut jobs[index];
    let target = Target { user: Some(job.user), job: Some(first + index as u32), ..Target::default() };
    let from = base + job.start * 60;
    let mut plot = Plot::new(kind, target, from, from + job.minutes * 60);
    plot.chance = rng.u32(rates);
    let expected = |job: &Job, chance: u32| job.size as f64 * share * f64::from(chance) / 10_000.0;
    if expected(job, plot.chance) < need {
        // Bought or long forgotten lists are larger than the usual one.
        job.enlarge((need / expected(job, plot.chance).max(0.1)).min(MOST_LARGER));
    }
    if expected(job, plot.chance) < need {
        let chance = need / (job.size as f64 * share).max(1.0) * 10_000.0;
        plot.chance = (chance as u32).clamp(plot.chance, highest);
    }
    Some(plot)
}

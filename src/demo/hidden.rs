//! The truth about what is hidden: collected from the rows an incident causes, as they are written, never from the plan.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::plot::Plot;
use super::replies::{CLASS_NAMES, Class, Replies};
use super::rows::connected;
use super::traffic::{Event, Job, Kind};
use super::world::{POOLS, PROFILES, PROVIDER_NAMES, Provider, USERS, VMTAS, World};
use super::{Incident, Options};

/// Values by dimension: what delimits a set of rows.
pub type ScopeTruth = BTreeMap<String, String>;

/// One hidden incident.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HiddenTruth {
    /// The name of its kind, as `--incident` has it.
    pub scenario: String,
    /// The family of rules that should find it: throttling, block, bounce, complaint, auth, latency, outage, volume.
    pub rule: String,
    /// What delimits it.
    pub scope: ScopeTruth,
    /// The ways to name it; each names the same rows.
    pub acceptable_scopes: Vec<ScopeTruth>,
    /// What goes without saying: naming these as well changes nothing about the rows.
    pub implied: BTreeMap<String, BTreeSet<String>>,
    /// Everything its rows touch: what else may rise or fall as a consequence.
    pub touches: BTreeMap<String, BTreeSet<String>>,
    /// What receivers say, if they say anything.
    pub cause: Option<CauseTruth>,
    /// First and last affected row of its busy time, ISO, UTC: the rows that have two more within half an hour (an hour
    /// for complaints). For a drop in volume: the messages that did not come.
    pub from: String,
    /// The last one.
    pub to: String,
    /// The very first and last affected row; stragglers are hours away from the others.
    pub first_row: String,
    /// The last row.
    pub last_row: String,
    /// How many rows (or messages that did not come).
    pub affected_rows: u64,
}

/// What receivers say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CauseTruth {
    /// The class of the replies.
    pub reply_class: String,
    /// The enhanced status code where there is one alone.
    pub status: Option<String>,
}

/// What one plot has done so far.
#[derive(Default)]
struct Traces {
    times: Vec<u32>,
    touches: BTreeMap<&'static str, BTreeSet<String>>,
    replies: BTreeSet<u16>,
    /// Outcomes (d and b rows) of the plot's user during its time, and those of its job.
    of_user: u64,
    of_job: u64,
}

/// Collects what plots do.
pub(super) struct Hidden<'a> {
    options: &'a Options,
    world: &'a World,
    replies: &'a Replies,
    traces: Vec<Traces>,
}

impl<'a> Hidden<'a> {
    /// Nothing yet.
    pub fn new(options: &'a Options, world: &'a World, replies: &'a Replies) -> Self {
        Self { options, world, replies, traces: Vec::new() }
    }

    /// Notes one row.
    pub fn count(&mut self, event: &Event, jobs: &[Job], plots: &[Plot]) {
        if plots.is_empty() {
            return;
        }
        self.traces.resize_with(plots.len(), Traces::default);
        let outcome = matches!(event.kind, Kind::Delivered | Kind::Bounced);
        for (plot, traces) in plots.iter().zip(&mut self.traces) {
            if outcome
                && plot.target.user == Some(usize::from(event.message.user))
                && (plot.from..plot.to).contains(&event.at)
            {
                traces.of_user += 1;
                traces.of_job += u64::from(plot.target.job == Some(event.message.job));
            }
        }
        let Some(traces) = usize::from(event.plot).checked_sub(1).and_then(|plot| self.traces.get_mut(plot)) else {
            return;
        };
        traces.times.push(event.at);
        if matches!(event.kind, Kind::Bounced | Kind::Deferred | Kind::QueueError) {
            traces.replies.insert(event.reply);
        }
        let message = &event.message;
        let domain = &self.world.domains[usize::from(message.domain)];
        let vmta = &VMTAS[usize::from(message.vmta)];
        let user = USERS[usize::from(message.user)].name;
        let provider =
            if connected(event, self.replies) { PROFILES[domain.profile].provider } else { domain.provider_by_name };
        let mut touch = |dimension: &'static str, value: &str| {
            traces.touches.entry(dimension).or_default().insert(value.to_owned());
        };
        touch("provider", PROVIDER_NAMES[provider as usize]);
        touch("domain", &domain.name);
        touch("queue", &domain.queue);
        touch("vmta", vmta.name);
        touch("source_ip", vmta.ip);
        touch("pool", POOLS[vmta.pool]);
        touch("user", user);
        touch("sender_domain", &format!("mail.{user}.example"));
        touch("sender_domain", &format!("{user}.example"));
        touch("job", &jobs[message.job as usize].name);
    }

    /// The truth about every plot that left traces.
    pub fn finish(mut self, jobs: &[Job], plots: &[Plot], withheld: &[u32]) -> Vec<HiddenTruth> {
        self.traces.resize_with(plots.len(), Traces::default);
        let traces = std::mem::take(&mut self.traces);
        plots.iter().zip(traces).filter_map(|(plot, traces)| self.truth(plot, traces, jobs, withheld)).collect()
    }

    fn truth(&self, plot: &Plot, mut traces: Traces, jobs: &[Job], withheld: &[u32]) -> Option<HiddenTruth> {
        if plot.kind == Incident::VolumeDrop {
            traces.times = withheld.to_vec();
            if let Some(user) = plot.target.user.map(|user| &USERS[user]) {
                let domains = [format!("mail.{}.example", user.name), format!("{}.example", user.name)];
                traces.touches.entry("user").or_default().insert(user.name.to_owned());
                traces.touches.entry("sender_domain").or_default().extend(domains);
            }
        }
        traces.times.sort_unstable();
        let (first, last) = (*traces.times.first()?, *traces.times.last()?);
        let minutes = if plot.kind == Incident::Complaints { 60 } else { 30 };
        let (from, to) = busy(&traces.times, minutes * 60).unwrap_or((first, last));
        let (scenario, rule) = names(plot.kind);
        let scope = self.scope(plot, jobs);
        let mut acceptable = acceptable(&scope);
        if plot.target.job.is_some() && traces.of_job * 10 >= traces.of_user * 9 {
            // Hardly anything else came from the user: to name him is to name the job.
            acceptable.extend(acceptable_user(&scope));
        }
        let touches: BTreeMap<String, BTreeSet<String>> =
            traces.touches.into_iter().map(|(dimension, values)| (dimension.to_owned(), values)).collect();
        Some(HiddenTruth {
            scenario: scenario.to_owned(),
            rule: rule.to_owned(),
            implied: implied(&scope, &touches),
            acceptable_scopes: acceptable,
            scope,
            cause: self.cause(plot.kind, &traces.replies),
            from: self.options.iso(from),
            to: self.options.iso(to),
            first_row: self.options.iso(first),
            last_row: self.options.iso(last),
            affected_rows: traces.times.len() as u64,
            touches,
        })
    }

    fn scope(&self, plot: &Plot, jobs: &[Job]) -> ScopeTruth {
        let target = &plot.target;
        let vmta = target.vmta.map(|vmta| &VMTAS[usize::from(vmta)]);
        // A slow VMTA is one as such; receivers know addresses only.
        let by_name = plot.kind == Incident::LatencyCreep;
        [
            ("provider", target.provider.map(|provider| PROVIDER_NAMES[provider as usize].to_owned())),
            ("domain", target.domain.map(|domain| self.world.domains[usize::from(domain)].name.clone())),
            ("source_ip", vmta.filter(|_| !by_name).map(|vmta| vmta.ip.to_owned())),
            ("vmta", vmta.filter(|_| by_name).map(|vmta| vmta.name.to_owned())),
            ("pool", target.pool.map(|pool| POOLS[pool].to_owned())),
            ("job", target.job.and_then(|job| jobs.get(job as usize)).map(|job| job.name.clone())),
            ("user", target.user.map(|user| USERS[user].name.to_owned())),
            (
                "sender_domain",
                target
                    .user
                    .filter(|_| plot.kind == Incident::Dmarc)
                    .map(|user| format!("mail.{}.example", USERS[user].name)),
            ),
        ]
        .into_iter()
        .filter_map(|(dimension, value)| Some((dimension.to_owned(), value?)))
        .collect()
    }

    fn cause(&self, kind: Incident, replies: &BTreeSet<u16>) -> Option<CauseTruth> {
        let (class, status) = match kind {
            Incident::GoogleThrottle | Incident::YahooTss04 => (Class::ThrottleReputation, true),
            Incident::Spamhaus => (Class::IpBlocklist, false),
            Incident::DirtyList => (Class::UnknownUser, false),
            Incident::Dmarc => (Class::Auth, false),
            Incident::Outage => (Class::Connection, true),
            _ => return None,
        };
        let first = replies.first().filter(|_| status).map(|reply| &self.replies.all[usize::from(*reply)].status);
        let status = first.map(|status| status.split(' ').next().unwrap_or_default().to_owned());
        Some(CauseTruth { reply_class: CLASS_NAMES[class as usize].to_owned(), status })
    }
}

/// The name of a kind of incident, and the family of rules that should find it.
fn names(kind: Incident) -> (&'static str, &'static str) {
    match kind {
        Incident::None | Incident::Demo => ("none", ""),
        Incident::GoogleThrottle => ("google-throttle", "throttling"),
        Incident::YahooTss04 => ("yahoo-tss04", "throttling"),
        Incident::Spamhaus => ("spamhaus", "block"),
        Incident::DirtyList => ("dirty-list", "bounce"),
        Incident::Complaints => ("complaints", "complaint"),
        Incident::Dmarc => ("dmarc", "auth"),
        Incident::LatencyCreep => ("latency-creep", "latency"),
        Incident::Outage => ("outage", "outage"),
        Incident::VolumeDrop => ("volume-drop", "volume"),
    }
}

/// The shortest ways to name a scope.
fn acceptable(scope: &ScopeTruth) -> Vec<ScopeTruth> {
    let only = |dimensions: &[(&str, &str)]| -> Option<ScopeTruth> {
        dimensions.iter().map(|(name, of)| Some(((*name).to_owned(), scope.get(*of)?.clone()))).collect()
    };
    let vmta = |ip: &str| VMTAS.iter().find(|vmta| vmta.ip == ip).map_or("", |vmta| vmta.name).to_owned();
    let ip = |name: &str| VMTAS.iter().find(|vmta| vmta.name == name).map_or("", |vmta| vmta.ip).to_owned();
    if scope.contains_key("job") {
        return only(&[("job", "job")]).into_iter().collect();
    }
    if scope.contains_key("user") {
        return acceptable_user(scope);
    }
    let mut all = vec![scope.clone()];
    let mut other = scope.clone();
    if let Some(address) = other.remove("source_ip") {
        other.insert("vmta".to_owned(), vmta(&address));
        all.push(other);
    } else if let Some(name) = other.remove("vmta") {
        other.insert("source_ip".to_owned(), ip(&name));
        all.push(other);
    } else if let Some(domain) = scope.get("domain") {
        all.push([("queue".to_owned(), domain.clone())].into());
    } else if let Some(provider) = scope.get("provider").filter(|_| scope.len() == 1) {
        if provider == PROVIDER_NAMES[Provider::Yahoo as usize] {
            all.push([("queue".to_owned(), "yahoo.rollup".to_owned())].into());
        }
        if provider == PROVIDER_NAMES[Provider::TOnline as usize] {
            all.extend(["domain", "queue"].map(|name| [(name.to_owned(), "t-online.de".to_owned())].into()));
        }
        if provider == PROVIDER_NAMES[Provider::Comcast as usize] {
            all.extend(["domain", "queue"].map(|name| [(name.to_owned(), "comcast.net".to_owned())].into()));
        }
    }
    all
}

/// The ways to name a user.
fn acceptable_user(scope: &ScopeTruth) -> Vec<ScopeTruth> {
    let Some(user) = scope.get("user") else {
        return Vec::new();
    };
    [
        ("user", user.clone()),
        ("sender_domain", format!("mail.{user}.example")),
        ("sender_domain", format!("{user}.example")),
    ]
    .into_iter()
    .map(|(dimension, value)| [(dimension.to_owned(), value)].into())
    .collect()
}

/// What a scope implies: by its own dimensions, and because all its rows agree on it.
fn implied(scope: &ScopeTruth, touches: &BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, BTreeSet<String>> {
    let mut implied: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (dimension, value) in scope {
        implied.entry(dimension.clone()).or_default().insert(value.clone());
    }
    if let Some(vmta) = VMTAS.iter().find(|vmta| {
        scope.get("source_ip").is_some_and(|ip| ip == vmta.ip)
            || scope.get("vmta").is_some_and(|name| name == vmta.name)
    }) {
        for (dimension, value) in [("vmta", vmta.name), ("source_ip", vmta.ip), ("pool", POOLS[vmta.pool])] {
            implied.entry(dimension.to_owned()).or_default().insert(value.to_owned());
        }
    }
    if let Some(user) = USERS.iter().find(|user| scope.get("user").is_some_and(|name| name == user.name)) {
        let domains = [format!("mail.{}.example", user.name), format!("{}.example", user.name)];
        implied.entry("sender_domain".to_owned()).or_default().extend(domains);
        implied.entry("pool".to_owned()).or_default().insert(POOLS[user.pool].to_owned());
    }
    for (dimension, values) in touches {
        if values.len() == 1 || dimension == "sender_domain" && values.len() == 2 {
            implied.entry(dimension.clone()).or_default().extend(values.iter().cloned());
        }
    }
    implied
}

/// From the first to the last of times that have two more within so many seconds after or before them.
fn busy(times: &[u32], seconds: u32) -> Option<(u32, u32)> {
    let near = |three: &&[u32]| three[2] - three[0] <= seconds;
    let from = times.windows(3).find(near)?[0];
    let to = times.windows(3).rfind(near)?[2];
    Some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stragglers_are_not_of_the_busy_time() {
        assert_eq!(busy(&[0, 5_000, 5_100, 5_200, 6_000, 6_500, 20_000], 1_800), Some((5_000, 6_500)));
        assert_eq!(busy(&[0, 5_000], 1_800), None);
    }

    #[test]
    fn an_address_may_be_named_by_its_vmta() {
        let scope: ScopeTruth =
            [("provider", "Google"), ("source_ip", "192.0.2.13")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
        let ways = acceptable(&scope);
        assert_eq!(ways.len(), 2);
        assert_eq!(ways[1]["vmta"], "mta03");
        assert!(implied(&scope, &BTreeMap::new())["pool"].contains("pool-bulk"));
    }
}

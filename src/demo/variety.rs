//! How one installation's ordinary mail differs from another's, by seed: who sends how much on which weekdays, how
//! often receivers defer and bounce, and the small bumps of every week that are no incident.

use chrono::{Datelike, NaiveDate};
use fastrand::Rng;

use super::replies::{Script, scripted};
use super::world::{self, OWN, PROFILES, Plan, Provider, USERS, World};

const SECONDS_PER_DAY: u32 = 86_400;
const WHOLE_DAY: u32 = 1_440;

/// Campaigns that nobody sent before: a user's one-off.
#[rustfmt::skip]
const ONE_OFFS: [Plan; 6] = [
    Plan { campaign: "anniversary", start: 560, minutes: 180, weight: 30, subject: "Ten years of us", size: 33_000 },
    Plan { campaign: "webinar", start: 615, minutes: 120, weight: 20, subject: "Join us on Thursday", size: 18_000 },
    Plan { campaign: "clearance", start: 700, minutes: 240, weight: 45, subject: "Everything must go", size: 41_000 },
    Plan { campaign: "terms", start: 500, minutes: 300, weight: 50, subject: "We change our terms", size: 9_000 },
    Plan { campaign: "app", start: 840, minutes: 150, weight: 25, subject: "Get our app", size: 22_000 },
    Plan { campaign: "thanks", start: 990, minutes: 120, weight: 20, subject: "A word of thanks", size: 15_000 },
];

/// Profiles whose short waves of deferrals are everyday life.
const MOODY: [usize; 13] = [5, 6, 7, 8, 9, 10, 11, 14, 15, 16, 17, 18, 19];

/// What one plan of one user does every week.
struct Habit {
    user: usize,
    plan: &'static Plan,
    /// By weekday from Monday: the share of an average day's size, 0 on days without.
    week: [f64; 7],
    /// Minutes by which this installation starts it later.
    shift: i32,
    /// Messages of an average day, as a share of the whole.
    share: f64,
}

/// A job to be sent on a day.
pub(super) struct Planned {
    pub user: usize,
    pub plan: &'static Plan,
    pub start: u32,
    pub size: u64,
    /// Whether it comes every week.
    pub usual: bool,
    /// Percent of its user's usual trouble: no list is like another.
    pub trouble: u32,
}

/// An ordinary bump at one profile's hosts.
struct Bump {
    from: u32,
    to: u32,
    profile: usize,
    /// Deferrals per 10,000 attempts while it lasts.
    deferral: u32,
    /// How many times slower deliveries are.
    slow: f64,
}

/// A reply nobody has seen before, and how many attempts get it.
struct Odd {
    from: u32,
    reply: u16,
    left: u32,
}

/// One installation's habits.
pub(super) struct Variety {
    on: bool,
    rng: Rng,
    habits: Vec<Habit>,
    trouble: Vec<u32>,
    deferral: Vec<u32>,
    bounce: Vec<u32>,
    complaint: Vec<u32>,
    bumps: Vec<Bump>,
    odd: Vec<Odd>,
}

impl Variety {
    /// The table values as they stand, every day like the next; or, `on`, an installation of its own.
    pub fn new(seed: u64, on: bool, users: usize) -> Self {
        let mut variety = Self {
            on,
            rng: Rng::with_seed(world::mix(seed ^ 0x7A_91E7)),
            habits: Vec::new(),
            trouble: USERS.iter().map(|user| user.trouble).collect(),
            deferral: PROFILES.iter().map(|profile| profile.deferral).collect(),
            bounce: PROFILES.iter().map(|profile| profile.bounce).collect(),
            complaint: PROFILES.iter().map(|profile| profile.complaint).collect(),
            bumps: Vec::new(),
            odd: Vec::new(),
        };
        if on {
            variety.draw(users.clamp(1, USERS.len()));
        }
        variety
    }

    /// Whether days differ.
    pub fn is_on(&self) -> bool {
        self.on
    }

    fn draw(&mut self, users: usize) {
        let rng = &mut self.rng;
        let (defers, bounces, annoys) = (between(rng, 0.4, 1.3), between(rng, 0.3, 0.7), between(rng, 0.1, 0.3));
        for profile in 0..PROFILES.len() {
            self.deferral[profile] = scaled(self.deferral[profile], defers * between(rng, 0.7, 1.4));
            self.bounce[profile] = scaled(self.bounce[profile], bounces * between(rng, 0.8, 1.25));
            self.complaint[profile] = scaled(self.complaint[profile], annoys * between(rng, 0.8, 1.25));
        }
        for trouble in &mut self.trouble {
            *trouble = rng.u32(65..125);
        }
        // The largest sender and the one that sends around the clock are always there.
        let active: Vec<usize> = (0..users).filter(|user| rng.f64() < 0.8 || matches!(user, 0 | 4)).collect();
        let shares: Vec<f64> =
            active.iter().map(|user| f64::from(USERS[*user].share) * (0.45 * normal(rng)).exp()).collect();
        let all: f64 = shares.iter().sum();
        let weekend = between(rng, 0.25, 0.8);
        for (user, share) in active.into_iter().zip(shares) {
            let weights: f64 = USERS[user].plans.iter().map(|plan| f64::from(plan.weight)).sum();
            for plan in USERS[user].plans {
                let shift = if plan.minutes == WHOLE_DAY { 0 } else { rng.i32(-75..=75) };
                let week = week(rng, plan, weekend);
                self.habits.push(Habit {
                    user,
                    plan,
                    week,
                    shift,
                    share: share / all * f64::from(plan.weight) / weights,
                });
            }
        }
    }

    /// The jobs of a day, of so many messages on average; draws the day's bumps as well.
    pub fn plan(&mut self, date: NaiveDate, day: u32, messages: u64, world: &World) -> Vec<Planned> {
        let weekday = date.weekday().num_days_from_monday() as usize;
        let rng = &mut self.rng;
        let mood = between(rng, 0.92, 1.08);
        let mut planned = Vec::new();
        for habit in &self.habits {
            let mut size = messages as f64 * habit.share * habit.week[weekday] * mood * between(rng, 0.85, 1.15);
            let start = (habit.plan.start as i32 + habit.shift + rng.i32(-8..=8)).max(0) as u32;
            if habit.plan.minutes < WHOLE_DAY && rng.u32(..40) == 0 {
                size *= between(rng, 1.6, 3.0);
            }
            if size >= 1.0 {
                planned.push(Planned {
                    user: habit.user,
                    plan: habit.plan,
                    start,
                    size: size as u64,
                    usual: true,
                    trouble: list_trouble(rng),
                });
            }
        }
        if rng.u32(..12) == 0 {
            let user = self.habits[rng.usize(..self.habits.len())].user;
            let plan = &ONE_OFFS[rng.usize(..ONE_OFFS.len())];
            let usual: f64 = self.habits.iter().filter(|habit| habit.user == user).map(|habit| habit.share).sum();
            let size = messages as f64 * usual * between(rng, 0.3, 0.9);
            planned.push(Planned {
                user,
                plan,
                start: plan.start + rng.u32(..60),
                size: size as u64 + 1,
                usual: false,
                trouble: list_trouble(rng),
            });
        }
        self.bump(day, messages, world);
        planned
    }

    fn bump(&mut self, day: u32, messages: u64, world: &World) {
        let rng = &mut self.rng;
        let start = day * SECONDS_PER_DAY;
        self.bumps.retain(|bump| bump.to > start);
        if rng.u32(..100) < 40 {
            let profile = MOODY[rng.usize(..MOODY.len())];
            let deferral = rng.u32(2_500..6_000);
            // A wave that would hit more than ten attempts, or one in a thousand of the day's, is cut short: a bump, not
            // an incident.
            let a_minute = messages as f64 * world.share(|_, domain| domain.profile == profile) / 700.0;
            let most = (messages as f64 / 1_000.0).max(10.0) / (a_minute * f64::from(deferral) / 10_000.0).max(0.001);
            let minutes = f64::from(rng.u32(8..25)).min(most).max(2.0);
            let from = start + rng.u32(..SECONDS_PER_DAY);
            self.bumps.push(Bump { from, to: from + (minutes * 60.0) as u32, profile, deferral, slow: 1.0 });
        }
        if rng.u32(..100) < 30 {
            let from = start + rng.u32(..SECONDS_PER_DAY);
            let (profile, slow) = (rng.usize(..PROFILES.len()), between(rng, 1.3, 1.9));
            self.bumps.push(Bump { from, to: from + rng.u32(600..1_800), profile, deferral: 0, slow });
        }
        if rng.u32(..100) < 35 {
            let replies = scripted(Script::Odd, Provider::Other);
            let reply = replies[rng.usize(..replies.len())];
            self.odd.push(Odd { from: start + rng.u32(..SECONDS_PER_DAY), reply, left: rng.u32(1..5) });
        }
    }

    /// A user's trouble: 100 is average.
    pub fn trouble(&self, user: u8) -> u32 {
        self.trouble[usize::from(user)]
    }

    /// Deferrals per 10,000 first attempts at a profile.
    pub fn deferral(&self, profile: usize) -> u32 {
        self.deferral[profile]
    }

    /// Bounces per 10,000 messages at a profile.
    pub fn bounce(&self, profile: usize) -> u32 {
        self.bounce[profile]
    }

    /// Complaints per 100,000 deliveries at a profile.
    pub fn complaint(&self, profile: usize) -> u32 {
        self.complaint[profile]
    }

    /// What a passing wave makes of the chance to be deferred.
    pub fn wave(&self, profile: usize, at: u32, chance: u32) -> u32 {
        self.bumps
            .iter()
            .filter(|bump| bump.profile == profile && (bump.from..bump.to).contains(&at))
            .fold(chance, |chance, bump| chance.max(bump.deferral))
    }

    /// How many times slower deliveries are just now.
    pub fn slowness(&self, profile: usize, at: u32) -> f64 {
        self.bumps
            .iter()
            .filter(|bump| bump.profile == profile && (bump.from..bump.to).contains(&at))
            .map(|bump| bump.slow)
            .product()
    }

    /// An odd reply that is due at a domain with its own server.
    pub fn odd(&mut self, profile: usize, at: u32) -> Option<u16> {
        let odd = self.odd.iter_mut().find(|odd| profile == OWN && odd.left > 0 && odd.from <= at)?;
        odd.left -= 1;
        Some(odd.reply)
    }
}

/// A plan's week, one on average: all days alike but for the weekend, workdays, or some days only.
fn week(rng: &mut Rng, plan: &Plan, weekend: f64) -> [f64; 7] {
    let mut week = [1.0, 1.0, 1.0, 1.0, 1.0, weekend, weekend];
    if plan.minutes == WHOLE_DAY {
        let quiet = between(rng, 0.55, 0.95);
        week[5] = quiet;
        week[6] = quiet;
    } else {
        match rng.u32(..10) {
            0..4 => {}
            4..7 => {
                week[5] = 0.0;
                week[6] = 0.0;
            }
            7 | 8 => week = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0],
            _ => week = [0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0],
        }
    }
    for day in &mut week {
        *day *= between(rng, 0.9, 1.1);
    }
    let sum: f64 = week.iter().sum();
    week.map(|day| day * 7.0 / sum)
}

/// How much trouble a list is, in percent of the usual.
fn list_trouble(rng: &mut Rng) -> u32 {
    ((0.3 * normal(rng)).exp() * 100.0).clamp(50.0, 220.0) as u32
}

/// A number between two others.
pub(super) fn between(rng: &mut Rng, low: f64, high: f64) -> f64 {
    low + (high - low) * rng.f64()
}

/// A draw of the standard normal distribution.
pub(super) fn normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.f64()).cos()
}

fn scaled(value: u32, factor: f64) -> u32 {
    (f64::from(value) * factor).round() as u32
}

/// Messages a day, and whether r rows are logged, of a seed's installation: 3,000 to 25,000, few of them evenly many.
pub(super) fn size(seed: u64) -> (u64, bool) {
    let mut rng = Rng::with_seed(world::mix(seed ^ 0x51_2E));
    let messages = between(&mut rng, 3_000_f64.ln(), 25_000_f64.ln()).exp() as u64;
    // The busy ones don't log what comes in: that keeps five weeks within a million rows.
    (messages, messages <= 12_000 && rng.u32(..4) > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off_it_leaves_the_tables_as_they_are() {
        let variety = Variety::new(5, false, 12);
        assert!(variety.trouble.iter().zip(&USERS).all(|(trouble, user)| *trouble == user.trouble));
        assert!(variety.deferral.iter().zip(&PROFILES).all(|(deferral, profile)| *deferral == profile.deferral));
    }

    #[test]
    fn a_week_has_seven_days_worth_of_mail_on_average() {
        let (world, start) = (World::new(3), NaiveDate::from_ymd_opt(2026, 6, 1).unwrap());
        let mut variety = Variety::new(3, true, 12);
        let weeks: Vec<u64> = (0..8)
            .map(|week| {
                let days = week * 7..week * 7 + 7;
                days.map(|day| {
                    let date = start + chrono::Days::new(u64::from(day));
                    variety.plan(date, day, 10_000, &world).iter().map(|job| job.size).sum::<u64>()
                })
                .sum()
            })
            .collect();
        assert!(weeks.iter().all(|week| (55_000..105_000).contains(week)), "{weeks:?}");
    }

    #[test]
    fn seeds_differ_in_size_and_stay_in_their_range() {
        let sizes: Vec<u64> = (0..40).map(|seed| size(seed).0).collect();
        assert!(sizes.iter().all(|size| (3_000..=25_000).contains(size)));
        assert!(sizes.iter().any(|size| *size < 6_000) && sizes.iter().any(|size| *size > 15_000));
    }
}

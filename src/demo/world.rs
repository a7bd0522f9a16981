//! The small world the demo logs come from: senders with their jobs, VMTAs in pools, mailbox providers with their
//! hosts, and some 1,500 recipient domains. Everything here is a table or is derived from the seed.

/// Who runs a mailbox; the names are the values of the `provider` column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Provider {
    Unknown,
    Google,
    Yahoo,
    Microsoft,
    Apple,
    Gmx,
    Orange,
    Comcast,
    TOnline,
    MailRu,
    Yandex,
    Qq,
    NetEase,
    Att,
    Cox,
    Spectrum,
    Proofpoint,
    Mimecast,
    Barracuda,
    Other,
}

/// Provider names by the order of [`Provider`]; the first is "nothing known".
#[rustfmt::skip]
pub(super) const PROVIDER_NAMES: [&str; 20] = [
    "", "Google", "Yahoo", "Microsoft", "Apple", "GMX", "Orange", "Comcast", "T-Online", "Mail.ru", "Yandex", "QQ",
    "NetEase", "AT&T", "Cox", "Spectrum", "Proofpoint", "Mimecast", "Barracuda", "other",
];

/// How a provider behaves; probabilities are per 10,000 unless said otherwise.
pub(super) struct Profile {
    pub provider: Provider,
    /// MX host and address; `{d}` stands for the domain with its dots as dashes, `{own}` for the
    /// domain, `{n}` for eight hex digits; an empty address becomes one of the benchmarking range.
    pub hosts: &'static [(&'static str, &'static str)],
    pub esmtp: &'static str,
    /// The reply to an accepted message, with the placeholders of `replies.rs`.
    pub accepted: &'static str,
    /// Median delivery latency in seconds, and the sigma of its lognormal shape.
    pub median: f64,
    pub sigma: f64,
    pub deferral: u32,
    pub bounce: u32,
    /// Complaints per 100,000 deliveries; 0 where there is no feedback loop.
    pub complaint: u32,
    pub reporter: Reporter,
}

/// Who sends a provider's feedback reports.
#[derive(Clone, Copy)]
pub(super) struct Reporter {
    pub mta: &'static str,
    pub ip: &'static str,
    pub agent: &'static str,
    pub format: &'static str,
}

const NOBODY: Reporter = Reporter { mta: "", ip: "", agent: "", format: "arf" };
const ESMTP_FULL: &str = "PIPELINING,8BITMIME,SIZE,CHUNKING,STARTTLS,ENHANCEDSTATUSCODES,SMTPUTF8";
const ESMTP_PLAIN: &str = "PIPELINING,SIZE,8BITMIME,STARTTLS,DSN";
const POSTFIX: &str = "smtp;250 2.0.0 Ok: queued as {id}";

/// Index of the profile of domains that run their own mail server.
pub(super) const OWN: usize = 20;

/// Every provider's behaviour; hosted ones (office, proofpoint …) serve long-tail domains.
#[rustfmt::skip]
pub(super) const PROFILES: [Profile; 21] = [
    Profile {
        provider: Provider::Google,
        hosts: &[
            ("gmail-smtp-in.l.google.com", "142.250.1.26"),
            ("alt1.gmail-smtp-in.l.google.com", "142.250.27.27"),
            ("alt2.gmail-smtp-in.l.google.com", "142.250.153.26"),
        ],
        esmtp: "SIZE,8BITMIME,STARTTLS,ENHANCEDSTATUSCODES,PIPELINING,CHUNKING,SMTPUTF8",
        accepted: "smtp;250 2.0.0 OK  {epoch} {id} - gsmtp",
        median: 1.2, sigma: 0.7, deferral: 180, bounce: 110, complaint: 0, reporter: NOBODY,
    },
    Profile {
        provider: Provider::Google,
        hosts: &[
            ("aspmx.l.google.com", "142.250.110.27"),
            ("alt1.aspmx.l.google.com", "142.250.27.26"),
            ("aspmx2.googlemail.com", "142.250.153.27"),
        ],
        esmtp: "SIZE,8BITMIME,STARTTLS,ENHANCEDSTATUSCODES,PIPELINING,CHUNKING,SMTPUTF8",
        accepted: "smtp;250 2.0.0 OK  {epoch} {id} - gsmtp",
        median: 1.4, sigma: 0.7, deferral: 150, bounce: 200, complaint: 0, reporter: NOBODY,
    },
    Profile {
        provider: Provider::Yahoo,
        hosts: &[
            ("mta7.am0.yahoodns.net", "67.195.204.72"),
            ("mta5.am0.yahoodns.net", "98.136.96.74"),
            ("mta6.am0.yahoodns.net", "67.195.228.109"),
        ],
        esmtp: "PIPELINING,SIZE,8BITMIME,STARTTLS",
        accepted: "smtp;250 ok dirdel",
        median: 1.8, sigma: 0.9, deferral: 420, bounce: 170, complaint: 190,
        reporter: Reporter { mta: "fbl.yahoo.example", ip: "98.136.97.10", agent: "Yahoo!-Mail-Feedback/2.0", format: "arf" },
    },
    Profile {
        provider: Provider::Microsoft,
        hosts: &[
            ("{d}.olc.protection.outlook.com", "52.101.8.33"),
            ("{d}.olc.protection.outlook.com", "52.101.68.5"),
            ("{d}.olc.protection.outlook.com", "52.101.194.14"),
        ],
        esmtp: "SIZE,PIPELINING,DSN,ENHANCEDSTATUSCODES,STARTTLS,8BITMIME,BINARYMIME,CHUNKING,SMTPUTF8",
        accepted: "smtp;250 2.6.0 <{id}@{domain}> [InternalId={epoch}, Hostname=BN8NAM11HT{host}] 31544 bytes in 0.214, 143.7 KB/sec Queued mail for delivery -> 250 2.1.5",
        median: 2.2, sigma: 0.8, deferral: 330, bounce: 240, complaint: 160,
        reporter: Reporter { mta: "jmrp.hotmail.example", ip: "52.101.9.12", agent: "", format: "jmrp" },
    },
    Profile {
        provider: Provider::Microsoft,
        hosts: &[("{d}.mail.protection.outlook.com", "52.101.73.8"), ("{d}.mail.protection.outlook.com", "52.101.11.2")],
        esmtp: "SIZE,PIPELINING,DSN,ENHANCEDSTATUSCODES,STARTTLS,8BITMIME,BINARYMIME,CHUNKING,SMTPUTF8",
        accepted: "smtp;250 2.6.0 <{id}@{domain}> [InternalId={epoch}, Hostname=AM9PR04MB] 28410 bytes in 0.301, 92.1 KB/sec Queued mail for delivery",
        median: 2.5, sigma: 0.9, deferral: 200, bounce: 320, complaint: 0, reporter: NOBODY,
    },
    Profile {
        provider: Provider::Apple,
        hosts: &[("mx01.mail.icloud.com", "17.57.155.25"), ("mx02.mail.icloud.com", "17.42.251.62")],
        esmtp: ESMTP_FULL,
        accepted: POSTFIX,
        median: 1.6, sigma: 0.7, deferral: 210, bounce: 120, complaint: 0, reporter: NOBODY,
    },
    Profile {
        provider: Provider::Gmx,
        hosts: &[
            ("mx00.emig.gmx.net", "212.227.15.9"),
            ("mx01.emig.gmx.net", "212.227.17.5"),
            ("mx-ha02.web.de", "212.227.15.17"),
        ],
        esmtp: "8BITMIME,SIZE,STARTTLS",
        accepted: "smtp;250 Requested mail action okay, completed: id={id}",
        median: 1.5, sigma: 0.8, deferral: 260, bounce: 220, complaint: 0, reporter: NOBODY,
    },
    Profile {
        provider: Provider::Orange,
        hosts: &[("smtp-in.orange.fr", "80.12.26.32")],
        esmtp: ESMTP_PLAIN,
        accepted: "smtp;250 2.0.0 {id} mail accepted for delivery",
        median: 3.0, sigma: 1.0, deferral: 620, bounce: 300, complaint: 120,
        reporter: Reporter { mta: "fbl.orange.example", ip: "80.12.26.90", agent: "Signal-Spam", format: "arf" },
    },
    Profile {
        provider: Provider::Comcast,
        hosts: &[("mx1a1.comcast.net", "96.102.18.147"), ("mx2c1.comcast.net", "96.102.157.179")],
        esmtp: ESMTP_PLAIN,
        accepted: "smtp;250 2.0.0 {id} mail accepted for delivery",
        median: 1.6, sigma: 0.9, deferral: 480, bounce: 260, complaint: 150,
        reporter: Reporter { mta: "feedback.comcast.example", ip: "96.102.18.9", agent: "ReturnPathFBL/1.0", format: "arf" },
    },
    Profile {
        provider: Provider::TOnline,
        hosts: &[("mx00.t-online.de", "194.25.134.8"), ("mx01.t-online.de", "194.25.134.72")],
        esmtp: ESMTP_PLAIN,
        accepted: "smtp;250 2.0.0 Message accepted.",
        median: 1.3, sigma: 0.7, deferral: 240, bounce: 210, complaint: 0, reporter: NOBODY,
    },
    Profile {
        provider: Provider::MailRu,
        hosts: &[("mxs.mail.ru", "94.100.180.31")],
        esmtp: ESMTP_FULL,
        accepted: "smtp;250 OK id={id}",
        median: 2.0, sigma: 0.9, deferral: 300, bounce: 330, complaint: 140,
        reporter: Reporter { mta: "fbl.mail.ru.example", ip: "94.100.180.99", agent: "Mail.Ru-FBL/1.0", format: "arf" },
    },
    Profile {
        provider: Provider::Yandex,
        hosts: &[("mx.yandex.ru", "77.88.21.249")],
        esmtp: ESMTP_FULL,
        accepted: "smtp;250 2.0.0 Ok: queued on mx.yandex.ru {epoch}-{id}",
        median: 1.7, sigma: 0.8, deferral: 220, bounce: 260, complaint: 0, reporter: NOBODY,
    },
    Profile {
        provider: Provider::Qq,
        hosts: &[("mx3.qq.com", "203.205.219.57"), ("mx2.qq.com", "183.57.48.35")],
        esmtp: ESMTP_PLAIN,
        accepted: "smtp;250 Ok: queued as",
        median: 4.0, sigma: 1.1, deferral: 350, bounce: 700, complaint: 0, reporter: NOBODY,
    },
    Profile {
        provider: Provider::NetEase,
        hosts: &[("163mx01.mxmail.netease.com", "220.181.14.135"), ("163mx02.mxmail.netease.com", "220.181.14.139")],
        esmtp: ESMTP_PLAIN,
        accepted: "smtp;250 Mail OK queued as mx12 {id}",
        median: 4.5, sigma: 1.1, deferral: 260, bounce: 620, complaint: 0, reporter: NOBODY,
    },
    Profile {
        provider: Provider::Att,
        hosts: &[("ff-ip4-mx-vip1.prodigy.net", "144.160.159.21"), ("al-ip4-mx-vip2.prodigy.net", "144.160.235.144")],
        esmtp: ESMTP_PLAIN,
        accepted: "smtp;250 2.0.0 {id} Message accepted for delivery",
        median: 2.0, sigma: 0.9, deferral: 280, bounce: 340, complaint: 0, reporter: NOBODY,
    },
    Profile {
        provider: Provider::Cox,
        hosts: &[("mx.east.cox.net", "68.1.17.3"), ("mx.west.cox.net", "68.6.19.3")],
        esmtp: ESMTP_PLAIN,
        accepted: "smtp;250 2.0.0 {id} mail accepted for delivery",
        median: 2.1, sigma: 0.9, deferral: 420, bounce: 310, complaint: 140,
        reporter: Reporter { mta: "fbl.cox.example", ip: "68.1.17.90", agent: "ReturnPathFBL/1.0", format: "arf" },
    },
    Profile {
        provider: Provider::Spectrum,
        hosts: &[("pkvw-mx.msg.pkvw.co.charter.net", "47.43.18.9")],
        esmtp: ESMTP_PLAIN,
        accepted: "smtp;250 2.0.0 {id} Message accepted for delivery",
        median: 2.0, sigma: 0.9, deferral: 380, bounce: 300, complaint: 0, reporter: NOBODY,
    },
    Profile {
        provider: Provider::Proofpoint,
        hosts: &[("mx0a-{n}.pphosted.com", "148.163.129.50"), ("mx0b-{n}.pphosted.com", "148.163.133.50")],
        esmtp: ESMTP_FULL,
        accepted: "smtp;250 2.0.0 {id} Message accepted for delivery",
        median: 3.2, sigma: 1.0, deferral: 300, bounce: 360, complaint: 0, reporter: NOBODY,
    },
    Profile {
        provider: Provider::Mimecast,
        hosts: &[("eu-smtp-inbound-1.mimecast.com", "195.130.217.211"), ("eu-smtp-inbound-2.mimecast.com", "91.220.42.211")],
        esmtp: ESMTP_FULL,
        accepted: "smtp;250 SmtpThread-{epoch}-{id}@eu-smtp-1.mimecast.com Received OK",
        median: 4.0, sigma: 1.1, deferral: 900, bounce: 380, complaint: 0, reporter: NOBODY,
    },
    Profile {
        provider: Provider::Barracuda,
        hosts: &[("d{n}.a.ess.barracudanetworks.com", "209.222.82.253")],
        esmtp: ESMTP_PLAIN,
        accepted: "smtp;250 Ok: queued as {id}",
        median: 3.5, sigma: 1.0, deferral: 350, bounce: 400, complaint: 0, reporter: NOBODY,
    },
    Profile {
        provider: Provider::Other,
        hosts: &[("mx.{own}", ""), ("mx2.{own}", "")],
        esmtp: ESMTP_FULL,
        accepted: POSTFIX,
        median: 1.8, sigma: 1.2, deferral: 520, bounce: 340, complaint: 0, reporter: NOBODY,
    },
];

/// Well-known recipient domains: name, profile, weight per 10,000 recipients.
#[rustfmt::skip]
const BIG_DOMAINS: [(&str, usize, u32); 34] = [
    ("gmail.com", 0, 3500), ("googlemail.com", 0, 160), ("yahoo.com", 2, 620), ("ymail.com", 2, 60), ("yahoo.co.uk", 2, 110),
    ("aol.com", 2, 220), ("hotmail.com", 3, 800), ("outlook.com", 3, 520), ("live.com", 3, 170), ("msn.com", 3, 80),
    ("icloud.com", 5, 430), ("me.com", 5, 110), ("mac.com", 5, 30), ("gmx.de", 6, 240), ("gmx.net", 6, 110),
    ("web.de", 6, 260), ("orange.fr", 7, 220), ("wanadoo.fr", 7, 90), ("comcast.net", 8, 230), ("t-online.de", 9, 190),
    ("mail.ru", 10, 150), ("bk.ru", 10, 30), ("yandex.ru", 11, 110), ("qq.com", 12, 120), ("foxmail.com", 12, 15),
    ("163.com", 13, 80), ("126.com", 13, 25), ("att.net", 14, 90), ("sbcglobal.net", 14, 60), ("bellsouth.net", 14, 30),
    ("cox.net", 15, 60), ("charter.net", 16, 50), ("rr.com", 16, 30), ("yahoo.fr", 2, 80),
];

/// How many small domains stand beside the well-known ones, and their weight per 10,000 recipients together.
const LONG_TAIL: usize = 1_500;
const LONG_TAIL_WEIGHT: u32 = 1_000;

#[rustfmt::skip]
const TAIL_FIRST: [&str; 40] = [
    "alder", "amber", "anchor", "arbor", "aspen", "beacon", "birch", "bridge", "canyon", "cedar", "cliff", "copper",
    "coral", "delta", "ember", "falcon", "fern", "garnet", "granite", "harbor", "hazel", "heron", "indigo", "juniper",
    "kestrel", "lantern", "linden", "maple", "marble", "meadow", "nordic", "onyx", "opal", "orchard", "pebble", "quartz",
    "raven", "saffron", "tundra", "willow",
];
#[rustfmt::skip]
const TAIL_SECOND: [&str; 40] = [
    "advisors", "analytics", "apparel", "architects", "bakery", "brewing", "builders", "capital", "catering", "clinic",
    "consulting", "dental", "design", "dynamics", "electric", "energy", "farms", "foods", "freight", "furniture", "gmbh",
    "health", "hotels", "insurance", "labs", "law", "logistics", "marine", "media", "motors", "optics", "partners",
    "pharma", "press", "realty", "robotics", "school", "software", "supply", "works",
];

/// What is wrong with a recipient domain, if anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DomainState {
    Answers,
    /// The name does not exist: an immediate bounce without a connection.
    Missing,
    /// The host never answers: queue errors, and a bounce two days later.
    Silent,
}

/// One MX host of a domain.
pub(super) struct Host {
    pub name: String,
    pub ip: String,
    /// `host (ip)`, as the `dsnMta` cell has it.
    pub cell: String,
}

/// One recipient domain.
pub(super) struct Domain {
    pub name: String,
    /// The same name as some address books write it, with a capital.
    pub shown: String,
    pub queue: String,
    pub profile: usize,
    pub hosts: Vec<Host>,
    pub state: DomainState,
    /// What the domain (or its queue roll-up) says when no MX host is known.
    pub provider_by_name: Provider,
}

/// One sending VMTA: name, its source address, its pool.
pub(super) struct Vmta {
    pub name: &'static str,
    pub ip: &'static str,
    pub pool: usize,
}

/// Names of the VMTA pools.
pub(super) const POOLS: [&str; 3] = ["pool-bulk", "pool-trans", "pool-shared"];

/// The sending VMTAs, those of one pool next to each other.
#[rustfmt::skip]
pub(super) const VMTAS: [Vmta; 8] = [
    Vmta { name: "mta01", ip: "192.0.2.11", pool: 0 },
    Vmta { name: "mta02", ip: "192.0.2.12", pool: 0 },
    Vmta { name: "mta03", ip: "192.0.2.13", pool: 0 },
    Vmta { name: "mta04", ip: "198.51.100.21", pool: 1 },
    Vmta { name: "mta05", ip: "198.51.100.22", pool: 1 },
    Vmta { name: "mta06", ip: "198.51.100.23", pool: 2 },
    Vmta { name: "mta07", ip: "203.0.113.31", pool: 2 },
    Vmta { name: "mta08", ip: "203.0.113.32", pool: 2 },
];

/// First VMTA and number of VMTAs of each pool.
pub(super) const POOL_RANGES: [(u8, u8); 3] = [(0, 3), (3, 2), (5, 3)];

/// The VMTA that Gmail throttles in the demo incident.
pub(super) const INCIDENT_VMTA: u8 = 2;

/// Seconds of the day between which Gmail throttles it: 13:05 to 15:05.
pub(super) const INCIDENT_WINDOW: (u32, u32) = (13 * 3600 + 300, 15 * 3600 + 300);

/// One kind of job a user sends every day.
pub(super) struct Plan {
    pub campaign: &'static str,
    /// Minute of the day of the first message, and how many minutes it takes; a whole day follows the hours of people.
    pub start: u32,
    pub minutes: u32,
    pub weight: u32,
    /// As the message header has it.
    pub subject: &'static str,
    /// Bytes of a typical message.
    pub size: u32,
}

/// A customer who sends through this PowerMTA.
pub(super) struct User {
    pub name: &'static str,
    pub separator: char,
    /// Envelope senders: one per recipient, or the same for all.
    pub verp: bool,
    pub env_ids: bool,
    pub api: bool,
    pub pool: usize,
    /// Share of the volume per 1,000.
    pub share: u32,
    /// 100 is average; more means more deferrals, bounces and complaints.
    pub trouble: u32,
    /// As the message header has it.
    pub from: &'static str,
    pub plans: &'static [Plan],
}

const DAY: u32 = 1440;

/// The user and plan whose list is dirty in the demo incident.
pub(super) const DIRTY_JOB: (usize, usize) = (2, 1);

/// The customers, largest first; shares add up to 1,000.
#[rustfmt::skip]
pub(super) const USERS: [User; 12] = [
    User { name: "bluepine", separator: '-', verp: true, env_ids: false, api: false, pool: 0, share: 270, trouble: 80,
        from: "\"Blue Pine, Inc.\" <news@bluepine.example>",
        plans: &[
            Plan { campaign: "newsletter", start: 390, minutes: 240, weight: 40, subject: "This week: boots, tents and maps", size: 48_200 },
            Plan { campaign: "flash", start: 720, minutes: 300, weight: 45, subject: "Five hours only", size: 31_900 },
            Plan { campaign: "winback", start: 1020, minutes: 180, weight: 15, subject: "We miss you", size: 22_400 },
        ] },
    User { name: "cityfit", separator: '-', verp: true, env_ids: false, api: false, pool: 0, share: 180, trouble: 95,
        from: "CityFit <hello@cityfit.example>",
        plans: &[
            Plan { campaign: "weekly", start: 480, minutes: 360, weight: 55, subject: "=?UTF-8?B?RGVpbiBUcmFpbmluZ3NwbGFu?=", size: 41_000 },
            Plan { campaign: "promo", start: 750, minutes: 240, weight: 35, subject: "20 % off until Sunday", size: 36_700 },
            Plan { campaign: "reminder", start: 1080, minutes: 150, weight: 10, subject: "Your class tomorrow", size: 12_300 },
        ] },
    User { name: "dailydeal", separator: '-', verp: true, env_ids: true, api: false, pool: 0, share: 130, trouble: 190,
        from: "\"Daily Deal\" <deals@dailydeal.example>",
        plans: &[
            Plan { campaign: "morning", start: 300, minutes: 300, weight: 50, subject: "Today only: 70 % off, free shipping", size: 52_800 },
            Plan { campaign: "reactivation", start: 600, minutes: 240, weight: 25, subject: "Are you still there?", size: 29_100 },
            Plan { campaign: "evening", start: 1050, minutes: 210, weight: 25, subject: "Last chance", size: 50_300 },
        ] },
    User { name: "jetmiles", separator: '_', verp: true, env_ids: false, api: false, pool: 2, share: 100, trouble: 75,
        from: "Jet Miles <offers@jetmiles.example>",
        plans: &[
            Plan { campaign: "offers", start: 540, minutes: 300, weight: 60, subject: "Lisbon, Oslo, Rome from 39", size: 61_500 },
            Plan { campaign: "statement", start: 840, minutes: 240, weight: 40, subject: "Your miles in November", size: 18_900 },
        ] },
    User { name: "finpulse", separator: '-', verp: true, env_ids: true, api: true, pool: 1, share: 85, trouble: 50,
        from: "FinPulse <alerts@finpulse.example>",
        plans: &[
            Plan { campaign: "alert", start: 0, minutes: DAY, weight: 60, subject: "Account alert", size: 9_700 },
            Plan { campaign: "receipt", start: 0, minutes: DAY, weight: 40, subject: "Your receipt", size: 14_100 },
        ] },
    User { name: "homely", separator: '.', verp: false, env_ids: false, api: false, pool: 2, share: 65, trouble: 110,
        from: "Homely <news@homely.example>",
        plans: &[
            Plan { campaign: "digest", start: 420, minutes: 240, weight: 70, subject: "New homes near you", size: 44_600 },
            Plan { campaign: "agent", start: 660, minutes: 420, weight: 30, subject: "Message from your agent", size: 11_800 },
        ] },
    User { name: "kinder", separator: '-', verp: true, env_ids: false, api: false, pool: 2, share: 50, trouble: 90,
        from: "\"Kinder & Co\" <post@kinder.example>",
        plans: &[
            Plan { campaign: "news", start: 570, minutes: 180, weight: 60, subject: "=?UTF-8?Q?Sch=C3=B6ne_Winterm=C3=BCtzen?=", size: 39_000 },
            Plan { campaign: "sale", start: 960, minutes: 180, weight: 40, subject: "Winter sale", size: 37_200 },
        ] },
    User { name: "inkwell", separator: '-', verp: false, env_ids: false, api: false, pool: 2, share: 40, trouble: 70,
        from: "Inkwell Books <books@inkwell.example>",
        plans: &[
            Plan { campaign: "authors", start: 510, minutes: 240, weight: 50, subject: "New in November", size: 33_300 },
            Plan { campaign: "events", start: 900, minutes: 180, weight: 50, subject: "Readings this week", size: 21_700 },
        ] },
    User { name: "ecotrail", separator: '-', verp: true, env_ids: false, api: false, pool: 0, share: 35, trouble: 85,
        from: "EcoTrail <walk@ecotrail.example>",
        plans: &[
            Plan { campaign: "routes", start: 600, minutes: 360, weight: 70, subject: "Three walks for the weekend", size: 57_000 },
            Plan { campaign: "survey", start: 780, minutes: 240, weight: 30, subject: "Two questions", size: 8_800 },
        ] },
    User { name: "lumina", separator: '-', verp: true, env_ids: false, api: true, pool: 1, share: 25, trouble: 45,
        from: "Lumina <no-reply@lumina.example>",
        plans: &[
            Plan { campaign: "welcome", start: 0, minutes: DAY, weight: 30, subject: "Welcome to Lumina", size: 16_000 },
            Plan { campaign: "password", start: 0, minutes: DAY, weight: 70, subject: "Reset your password", size: 6_900 },
        ] },
    User { name: "gardenia", separator: '-', verp: false, env_ids: false, api: false, pool: 2, share: 15, trouble: 130,
        from: "Gardenia <shop@gardenia.example>",
        plans: &[
            Plan { campaign: "bulbs", start: 450, minutes: 120, weight: 60, subject: "Tulips, crocus, narcissus", size: 30_500 },
            Plan { campaign: "cart", start: 0, minutes: DAY, weight: 40, subject: "You left something behind", size: 13_600 },
        ] },
    User { name: "acme", separator: '-', verp: true, env_ids: false, api: false, pool: 2, share: 5, trouble: 100,
        from: "\"ACME \\\"Tools\\\"\" <info@acme.example>",
        plans: &[
            Plan { campaign: "dealers", start: 630, minutes: 120, weight: 60, subject: "Price list", size: 120_000 },
            Plan { campaign: "service", start: 0, minutes: DAY, weight: 40, subject: "Your ticket", size: 7_400 },
        ] },
];

/// Share of a day's mail by hour (per 1,000), for jobs that follow people's days.
pub(super) const HOURS: [u32; 24] =
    [12, 8, 6, 5, 7, 14, 26, 44, 62, 70, 68, 62, 55, 58, 62, 60, 58, 56, 54, 52, 50, 46, 39, 26];

#[rustfmt::skip]
const FIRST_NAMES: [&str; 32] = [
    "anna", "ben", "carla", "david", "elena", "frank", "grace", "hugo", "ines", "jonas", "karin", "liam", "maria", "nils",
    "olga", "paul", "quinn", "rosa", "sven", "tina", "uwe", "vera", "walt", "xenia", "yusuf", "zoe", "amir", "bea", "chen",
    "dario", "emma", "finn",
];
#[rustfmt::skip]
const LAST_NAMES: [&str; 32] = [
    "abel", "brandt", "costa", "dubois", "ekberg", "fischer", "garcia", "hansen", "ivanov", "jensen", "keller", "lopez",
    "moreau", "novak", "olsen", "petit", "quist", "rossi", "schmidt", "turner", "unger", "vogel", "weber", "xu", "young",
    "zhang", "adler", "baker", "cruz", "diaz", "evans", "flores",
];

/// Scrambles a number; a bijection, so different inputs stay different (the finaliser of splitmix64).
pub(super) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Everything derived once from the seed.
pub(super) struct World {
    pub seed: u64,
    pub domains: Vec<Domain>,
    /// Domain by the low 16 bits of a recipient's hash.
    slots: Vec<u16>,
}

impl World {
    /// Builds the recipient domains and the table that spreads recipients over them.
    pub fn new(seed: u64) -> Self {
        let mut domains: Vec<Domain> =
            BIG_DOMAINS.iter().map(|(name, profile, _)| domain(seed, name, *profile, DomainState::Answers)).collect();
        for index in 0..LONG_TAIL {
            domains.push(tail_domain(seed, index));
        }
        let slots = spread(domains.len());
        Self { seed, domains, slots }
    }

    /// The hash that decides a recipient's name and domain.
    pub fn recipient_hash(&self, user: usize, recipient: u32) -> u64 {
        mix(self.seed ^ mix(((user as u64 + 1) << 32) | u64::from(recipient)))
    }

    /// The share of recipients whose domain is like this.
    pub fn share(&self, like: impl Fn(u16, &Domain) -> bool) -> f64 {
        let matching = self.slots.iter().filter(|slot| like(**slot, &self.domains[usize::from(**slot)])).count();
        matching as f64 / self.slots.len() as f64
    }

    /// The number of a domain.
    pub fn find(&self, name: &str) -> Option<u16> {
        self.domains.iter().position(|domain| domain.name == name).map(small)
    }

    /// The domain of a recipient, by its hash.
    pub fn domain_of(&self, hash: u64) -> u16 {
        self.slots[(hash & 0xFFFF) as usize]
    }
}

/// The two names a recipient's local part is made of; its number, put behind them, makes it unique in a list.
pub(super) fn local_names(hash: u64) -> (&'static str, &'static str) {
    (FIRST_NAMES[(hash >> 16 & 31) as usize], LAST_NAMES[(hash >> 21 & 31) as usize])
}

fn domain(seed: u64, name: &str, profile: usize, state: DomainState) -> Domain {
    let about = &PROFILES[profile];
    let token = name.bytes().fold(seed, |h, b| mix(h ^ u64::from(b)));
    let hosts = about.hosts.iter().enumerate().map(|(index, host)| mx_host(token, name, index, *host)).collect();
    let known = BIG_DOMAINS.iter().any(|(big, ..)| *big == name);
    let mut shown = name.to_owned();
    if let Some(first) = shown.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    Domain {
        queue: if about.provider == Provider::Yahoo { "yahoo.rollup".to_owned() } else { name.to_owned() },
        name: name.to_owned(),
        shown,
        profile,
        hosts,
        state,
        provider_by_name: if known { about.provider } else { Provider::Other },
    }
}

fn mx_host(token: u64, domain: &str, index: usize, (name, ip): (&str, &str)) -> Host {
    let name = name
        .replace("{d}", &domain.replace('.', "-"))
        .replace("{own}", domain)
        .replace("{n}", &format!("{:08x}", token & 0xFFFF_FFFF));
    let ip = if ip.is_empty() {
        format!("198.{}.{}.{}", 18 + (token & 1), token >> 8 & 255, 10 + 2 * (token >> 16 & 63) as usize + index)
    } else {
        ip.to_owned()
    };
    Host { cell: format!("{name} ({ip})"), name, ip }
}

fn tail_domain(seed: u64, index: usize) -> Domain {
    // A step prime to 1,600 visits every pair of words once, in an order that does not look sorted.
    let pair = (index * 601 + 77) % 1_600;
    let name = format!("{}-{}.example", TAIL_FIRST[pair / 40], TAIL_SECOND[pair % 40]);
    let profile = match index % 20 {
        0..5 => 4,
        5..9 => 1,
        9 | 10 => 17,
        11 => 18,
        12 => 19,
        _ => OWN,
    };
    let state = match index % 211 {
        60 => DomainState::Missing,
        133 => DomainState::Silent,
        _ => DomainState::Answers,
    };
    domain(seed, &name, if state == DomainState::Answers { profile } else { OWN }, state)
}

/// Fills 65,536 slots by weight; the long tail falls off slowly and leaves no domain without a slot.
fn spread(domains: usize) -> Vec<u16> {
    const SLOTS: usize = 65_536;
    let known: u32 = BIG_DOMAINS.iter().map(|(.., weight)| weight).sum();
    let total = (known + LONG_TAIL_WEIGHT) as usize;
    let mut slots = Vec::with_capacity(SLOTS + 64);
    for (index, (.., weight)) in BIG_DOMAINS.iter().enumerate() {
        let count = SLOTS * *weight as usize / total;
        slots.extend(std::iter::repeat_n(small(index), count));
    }
    let tail_start = BIG_DOMAINS.len();
    slots.extend((tail_start..domains).map(small));
    let mut rank = 0;
    while slots.len() < SLOTS {
        // 1/rank, as counts: the first small domain gets most of what is left.
        let share = 1 + 900 / (rank + 3);
        slots.extend(std::iter::repeat_n(small(tail_start + rank % LONG_TAIL), share));
        rank += 1;
    }
    slots.truncate(SLOTS);
    slots
}

fn small(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_domain_gets_recipients_and_has_one_name() {
        let world = World::new(1);
        let mut seen = vec![0_u32; world.domains.len()];
        for slot in &world.slots {
            seen[usize::from(*slot)] += 1;
        }
        assert!(seen.iter().all(|n| *n > 0));
        let names: std::collections::BTreeSet<_> = world.domains.iter().map(|d| &d.name).collect();
        assert_eq!(names.len(), BIG_DOMAINS.len() + LONG_TAIL);
    }

    #[test]
    fn user_shares_add_up_to_the_whole_volume() {
        assert_eq!(USERS.iter().map(|u| u.share).sum::<u32>(), 1_000);
    }

    #[test]
    fn pools_cover_the_vmtas_that_name_them() {
        for (pool, (first, count)) in POOL_RANGES.iter().enumerate() {
            for vmta in *first..first + count {
                assert_eq!(VMTAS[usize::from(vmta)].pool, pool);
            }
        }
    }
}

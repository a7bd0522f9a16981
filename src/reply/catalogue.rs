//! The rules of `assets/replies.toml` and of the configuration as a row of automata, and the decision over them: the
//! reply's text first, then its codes, then PowerMTA's category.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use hashbrown::HashMap;
use regex::bytes::{RegexSet, RegexSetBuilder};
use serde::{Deserialize, Serialize};

use super::normalise::normalised;
use super::template::first_ip;
use crate::event::bounce::ReplyClass;
use crate::event::status::{parse_diag, parse_status};

const BUILTIN: &str = include_str!("../../assets/replies.toml");

/// What `…` in a pattern stands for: anything but the end of a sentence. Unlike `.{0,40}` it costs one automaton state.
const GAP: &str = r"(?:[^.;]|\.[^ ])*";

/// Upper bound of one compiled automaton.
const SIZE_LIMIT: usize = 32 << 20;

/// The states that one automaton may cache for each thread while matching.
const CACHE_LIMIT: usize = 2 << 20;

/// How many rules share an automaton: many where they are plain, few where they hold gaps. All rules in one would need
/// a state for each combination of half-seen phrases; measured on two cores, that took 1,500 µs a reply, this takes 3 µs,
/// and 10 µs where nothing matches.
const PLAIN: usize = 64;
const WIDE: usize = 3;

/// Replies beyond this are cut before matching: RFC 5321 allows 512 octets a line, and joined lines stay far below.
const TEXT_LIMIT: usize = 4096;

/// What a reply is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The sending IP.
    Ip,
    /// The sending domain.
    Domain,
    /// This message.
    Content,
    /// This recipient or the recipient's organisation.
    Recipient,
    /// The sender's set-up: DNS, authentication, encryption.
    Configuration,
    /// The receiver's own side.
    Remote,
}

impl Scope {
    /// The word as it stands in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Domain => "domain",
            Self::Content => "content",
            Self::Recipient => "recipient",
            Self::Configuration => "configuration",
            Self::Remote => "remote",
        }
    }
}

/// One rule, as it is written in the asset and in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Whose replies it reads; none for anyone's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The pattern over the normalised reply.
    #[serde(rename = "match")]
    pub pattern: String,
    /// What the reply is about.
    pub class: ReplyClass,
    /// What it is held against, where the class's usual scope is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// What it means, where the class's usual words are too wide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meaning: Option<String>,
    /// What to do, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// The list it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocklist: Option<String>,
}

impl Entry {
    /// Whether the pattern can be used.
    ///
    /// # Errors
    /// When it is no regular expression, or one that reads every reply.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |source| Error::Pattern { pattern: self.pattern.clone(), source };
        let pattern = alone(&compiled(&self.pattern)).map_err(wrong)?;
        // An empty pattern would give its class to whatever was said.
        if pattern.is_match(b"") { Err(Error::Everything { pattern: self.pattern.clone() }) } else { Ok(()) }
    }
}

/// Why a catalogue cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The TOML text is no catalogue.
    #[error("reply catalogue: {0}")]
    Syntax(#[from] toml::de::Error),
    /// A rule's pattern is no regular expression.
    #[error("reply rule {pattern:?}: {source}")]
    Pattern {
        /// The pattern as written.
        pattern: String,
        /// What is wrong with it.
        source: Box<regex::Error>,
    },
    /// A rule's pattern is found in an empty text, so in every text.
    #[error("reply rule {pattern:?} would read every reply; write words that stand in it")]
    Everything {
        /// The pattern as written.
        pattern: String,
    },
    /// All rules together are too large.
    #[error("reply catalogue is too large: {0}")]
    TooLarge(Box<regex::Error>),
    /// A key or word of a table is unknown.
    #[error("reply catalogue: unknown {what} {word:?}")]
    Unknown {
        /// Which kind of word.
        what: &'static str,
        /// The word.
        word: String,
    },
}

/// What a reply means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict<'a> {
    /// What it is about; none for a success and for a row that says nothing.
    pub class: Option<ReplyClass>,
    /// What it is held against.
    pub scope: Scope,
    /// What it means, one sentence.
    pub meaning: &'a str,
    /// What to do next; empty for a success.
    pub advice: &'a str,
    /// The rule that decided, for [`Catalogue::rule`]; none when codes or the category did.
    pub rule: Option<usize>,
    /// The block list the reply names.
    pub blocklist: Option<&'a str>,
    /// The IP address the reply complains about.
    pub listed_ip: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    signature: Vec<Signature>,
    code: Vec<Entry>,
    phrase: Vec<Entry>,
    generic: Vec<Entry>,
    weak: Vec<Entry>,
    blocklist: Vec<ListName>,
    status: Classes,
    status_vague: Classes,
    category: Classes,
    reply_code: Classes,
    class: BTreeMap<String, Words>,
}

type Classes = BTreeMap<String, ReplyClass>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    provider: String,
    #[serde(rename = "match")]
    pattern: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListName {
    text: String,
    name: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    scope: Scope,
    meaning: String,
    advice: String,
}

/// When a rule is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strength {
    /// Before the enhanced code.
    Strong,
    /// After the enhanced code.
    Weak,
}

/// Patterns that are asked together, as an automaton from the first question on: building all of them takes
/// tens of milliseconds, and most files ask few.
#[derive(Debug, Default)]
struct Set {
    patterns: Vec<String>,
    built: OnceLock<RegexSet>,
}

impl Set {
    const fn new(patterns: Vec<String>) -> Self {
        Self { patterns, built: OnceLock::new() }
    }

    fn get(&self) -> &RegexSet {
        // Whoever adds patterns that no test knows has called `check`.
        self.built.get_or_init(|| set_of(&self.patterns).unwrap_or_else(|_| RegexSet::empty()))
    }

    fn check(&self) -> Result<(), Error> {
        let set = set_of(&self.patterns).map_err(|source| Error::TooLarge(Box::new(source)))?;
        self.built.get_or_init(|| set);
        Ok(())
    }
}

/// Consecutive rules that are asked together.
#[derive(Debug)]
struct Stage {
    set: Set,
    /// The index of its first rule.
    first: usize,
    strength: Strength,
    /// The provider that must have answered, as an index of `Catalogue::providers`.
    only: Option<usize>,
}

/// The catalogue of replies.
#[derive(Debug)]
pub struct Catalogue {
    signature: Set,
    /// The provider of each signature.
    signers: Vec<usize>,
    /// In the order in which they are asked.
    stages: Vec<Stage>,
    rules: Vec<Entry>,
    providers: Vec<String>,
    status: HashMap<String, ReplyClass>,
    status_vague: HashMap<String, ReplyClass>,
    category: HashMap<String, ReplyClass>,
    reply_code: HashMap<u16, ReplyClass>,
    blocklists: Vec<ListName>,
    words: Vec<Option<Words>>,
}

/// What decided about a reply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Decision {
    class: Option<ReplyClass>,
    rule: Option<usize>,
}

impl Catalogue {
    /// The catalogue that comes with the program.
    pub fn builtin() -> Self {
        // A test holds the asset to be sound; a broken one would only mean that replies are classified by codes alone.
        Self::with_entries(Vec::new()).unwrap_or_else(|_| Self::empty())
    }

    /// The catalogue of the program with the user's rules asked before all others.
    ///
    /// # Errors
    /// When a pattern is no regular expression, or all rules together are too large.
    #[expect(clippy::needless_pass_by_value, reason = "the configuration gives its rules away")]
    pub fn with_entries(entries: Vec<Entry>) -> Result<Self, Error> {
        Self::build(toml::from_str(BUILTIN)?, &entries)
    }

    fn empty() -> Self {
        Self {
            signature: Set::default(),
            signers: Vec::new(),
            stages: Vec::new(),
            rules: Vec::new(),
            providers: Vec::new(),
            status: HashMap::new(),
            status_vague: HashMap::new(),
            category: HashMap::new(),
            reply_code: HashMap::new(),
            blocklists: Vec::new(),
            words: Vec::new(),
        }
    }

    fn build(source: Source, entries: &[Entry]) -> Result<Self, Error> {
        let mut catalogue = Self::empty();
        let signatures: Vec<String> = source.signature.iter().map(|signature| compiled(&signature.pattern)).collect();
        catalogue.signature = Set::new(signatures);
        catalogue.signers = source.signature.iter().map(|signature| catalogue.intern(&signature.provider)).collect();
        // The set would not say which of its patterns is wrong.
        entries.iter().try_for_each(Entry::check)?;
        // Codes are the provider's alone, so anyone may quote them; phrases are not.
        catalogue.add(entries, Strength::Strong, true, WIDE);
        catalogue.stages.iter().try_for_each(|stage| stage.set.check())?;
        catalogue.add(&source.code, Strength::Strong, false, PLAIN);
        catalogue.add(&source.phrase, Strength::Strong, true, PLAIN);
        catalogue.add(&source.generic, Strength::Strong, false, WIDE);
        catalogue.add(&source.weak, Strength::Weak, false, WIDE);
        catalogue.status = tails(source.status);
        catalogue.status_vague = tails(source.status_vague);
        catalogue.category = source.category.into_iter().collect();
        catalogue.blocklists = source.blocklist;
        for (code, class) in source.reply_code {
            let number = code.parse().map_err(|_| Error::Unknown { what: "reply code", word: code })?;
            catalogue.reply_code.insert(number, class);
        }
        catalogue.words = vec![None; ReplyClass::COUNT];
        for (word, words) in source.class {
            let class = ReplyClass::parse(&word).ok_or(Error::Unknown { what: "class", word })?;
            if let Some(slot) = catalogue.words.get_mut(class.index()) {
                *slot = Some(words);
            }
        }
        Ok(catalogue)
    }

    /// Appends a group of rules; `bound` ones count only for their provider.
    fn add(&mut self, group: &[Entry], strength: Strength, bound: bool, together: usize) {
        for same in group.chunk_by(|a, b| !bound || a.provider == b.provider) {
            let only = same
                .first()
                .and_then(|entry| entry.provider.as_deref())
                .filter(|_| bound)
                .map(|name| self.intern(name));
            for chunk in same.chunks(together) {
                let patterns: Vec<String> = chunk.iter().map(|entry| compiled(&entry.pattern)).collect();
                self.stages.push(Stage { set: Set::new(patterns), first: self.rules.len(), strength, only });
                self.rules.extend_from_slice(chunk);
            }
        }
    }

    fn intern(&mut self, provider: &str) -> usize {
        self.provider_index(provider).unwrap_or_else(|| {
            self.providers.push(provider.to_owned());
            self.providers.len() - 1
        })
    }

    fn provider_index(&self, provider: &str) -> Option<usize> {
        self.providers.iter().position(|known| known.eq_ignore_ascii_case(provider))
    }

    /// The rule of a verdict.
    pub fn rule(&self, index: usize) -> Option<&Entry> {
        self.rules.get(index)
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is no rule at all.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What a class means in general, and what to do about it.
    pub fn words_of(&self, class: ReplyClass) -> (Scope, &str, &str) {
        match self.words.get(class.index()).and_then(Option::as_ref) {
            Some(words) => (words.scope, &words.meaning, &words.advice),
            None => (Scope::Remote, "", ""),
        }
    }

    /// The provider whose signature a reply bears.
    pub fn signer_of(&self, diag: &str) -> Option<&str> {
        let signed = self.signed(&normalised(bounded(diag)));
        self.providers.get(*signed.first()?).map(String::as_str)
    }

    /// What a reply means whose class is known: it was told when the row came in, with its status and category.
    pub fn explain(&self, class: ReplyClass, provider: &str, diag: &str) -> Verdict<'_> {
        let verdict = self.classify(provider, diag, None, "");
        if verdict.class == Some(class) {
            return verdict;
        }
        let (scope, meaning, advice) = self.words_of(class);
        Verdict {
            class: Some(class),
            scope,
            meaning,
            advice,
            rule: None,
            blocklist: self.blocklist_of(class, None, diag),
            listed_ip: listed_ip(class, diag),
        }
    }

    /// The class of a reply alone: what [`Self::classify`] says, without looking up words.
    pub fn class_of(&self, provider: &str, diag: &str, status: Option<&str>, category: &str) -> Option<ReplyClass> {
        self.decide(provider, diag, status, category).class
    }

    /// What there is to a reply but addresses: two with the same gist have the same class where provider, status and
    /// category are the same. It is found much faster than the class.
    pub fn gist(diag: &str) -> Vec<u8> {
        let reply = parse_diag(diag);
        let mut gist = normalised(bounded(diag));
        gist.push(0);
        gist.extend_from_slice(reply.enhanced.unwrap_or_default().as_bytes());
        gist.push(0);
        gist.extend_from_slice(&reply.code.unwrap_or_default().to_le_bytes());
        gist.push(u8::from(diag.trim().is_empty()));
        gist
    }

    /// What a reply means: of the provider that answered, the `dsnDiag` cell, the status (5.1.1, or the `dsnStatus` cell)
    /// and the bounce category.
    pub fn classify(&self, provider: &str, diag: &str, status: Option<&str>, category: &str) -> Verdict<'_> {
        let decision = self.decide(provider, diag, status, category);
        let Some(class) = decision.class else {
            return Verdict {
                class: None,
                scope: Scope::Remote,
                meaning: if diag.trim().is_empty() { "" } else { "The receiver took the message." },
                advice: "",
                rule: None,
                blocklist: None,
                listed_ip: None,
            };
        };
        let (scope, meaning, advice) = self.words_of(class);
        let entry = decision.rule.and_then(|rule| self.rule(rule));
        Verdict {
            class: Some(class),
            scope: entry.and_then(|entry| entry.scope).unwrap_or(scope),
            meaning: entry.and_then(|entry| entry.meaning.as_deref()).unwrap_or(meaning),
            advice: entry.and_then(|entry| entry.advice.as_deref()).unwrap_or(advice),
            rule: decision.rule,
            blocklist: self.blocklist_of(class, entry, diag),
            listed_ip: listed_ip(class, diag),
        }
    }

    fn blocklist_of<'a>(&'a self, class: ReplyClass, entry: Option<&'a Entry>, diag: &str) -> Option<&'a str> {
        if let Some(name) = entry.and_then(|entry| entry.blocklist.as_deref()) {
            return Some(name);
        }
        if !matches!(class, ReplyClass::IpBlocklist | ReplyClass::DomainBlocklist | ReplyClass::ContentUrlBlocklist) {
            return None;
        }
        let text = diag.to_ascii_lowercase();
        let named = |list: &&ListName| memchr::memmem::find(text.as_bytes(), list.text.as_bytes()).is_some();
        self.blocklists.iter().find(named).map(|list| list.name.as_str())
    }

    fn decide(&self, provider: &str, diag: &str, status: Option<&str>, category: &str) -> Decision {
        let reply = parse_diag(diag);
        let cell = status.map(parse_status).unwrap_or_default();
        let enhanced = cell.enhanced.or(reply.enhanced).unwrap_or_default();
        let code = reply.code.or(cell.code);
        let category = category.trim();
        if succeeded(enhanced, code, category) {
            return Decision::default();
        }
        let text = normalised(bounded(diag));
        if let Some(rule) = self.by_text(Strength::Strong, provider, &text) {
            return self.ruled(rule);
        }
        if let Some(class) = look_up(&self.status, enhanced) {
            return Decision { class: Some(class), rule: None };
        }
        if let Some(rule) = self.by_text(Strength::Weak, provider, &text) {
            return self.ruled(rule);
        }
        let class = look_up(&self.status_vague, enhanced)
            .or_else(|| self.by_category(category))
            .or_else(|| self.reply_code.get(&code?).copied())
            .or_else(|| {
                let says_something =
                    !enhanced.is_empty() || code.is_some() || !category.is_empty() || !diag.trim().is_empty();
                says_something.then_some(ReplyClass::Other)
            });
        Decision { class, rule: None }
    }

    fn ruled(&self, rule: usize) -> Decision {
        Decision { class: self.rule(rule).map(|entry| entry.class), rule: Some(rule) }
    }

    fn by_category(&self, category: &str) -> Option<ReplyClass> {
        self.category.get(category).or_else(|| self.category.get(&category.to_ascii_lowercase())).copied()
    }

    /// The first rule of a strength that reads the text.
    fn by_text(&self, strength: Strength, provider: &str, text: &[u8]) -> Option<usize> {
        if text.is_empty() {
            return None;
        }
        let answered = self.provider_index(provider);
        let mut signed = None;
        for stage in self.stages.iter().filter(|stage| stage.strength == strength) {
            let counts = stage.only.is_none()
                || stage.only == answered
                || stage.only.is_some_and(|only| signed.get_or_insert_with(|| self.signed(text)).contains(&only));
            if counts && stage.set.get().is_match(text) {
                // A set of one needs no list of what matched.
                let at =
                    if stage.set.patterns.len() == 1 { Some(0) } else { stage.set.get().matches(text).iter().next() };
                return at.map(|at| stage.first + at);
            }
        }
        None
    }

    /// Whose signatures the text bears.
    fn signed(&self, text: &[u8]) -> Vec<usize> {
        if !self.signature.get().is_match(text) {
            return Vec::new();
        }
        self.signature.get().matches(text).iter().filter_map(|at| self.signers.get(at).copied()).collect()
    }
}

/// The address that a reply complains about, where its class is about addresses.
fn listed_ip(class: ReplyClass, diag: &str) -> Option<String> {
    let about_ip = class.is_rb() && class != ReplyClass::DomainBlocklist && class != ReplyClass::DomainReputation;
    if about_ip { first_ip(diag).map(|ip| ip.to_string()) } else { None }
}

/// Whether the row tells of a success. A failing status beside an accepting reply is a failure.
fn succeeded(enhanced: &str, code: Option<u16>, category: &str) -> bool {
    match enhanced.bytes().next() {
        Some(b'2') => code.is_none_or(|code| code < 400),
        Some(_) => false,
        None => code.map_or(category.eq_ignore_ascii_case("success"), |code| (200..300).contains(&code)),
    }
}

fn bounded(diag: &str) -> &str {
    let mut end = diag.len().min(TEXT_LIMIT);
    while !diag.is_char_boundary(end) {
        end -= 1;
    }
    diag.get(..end).unwrap_or(diag)
}

/// A pattern as the automaton takes it: with its gaps, and without case where a user wrote capitals.
fn compiled(pattern: &str) -> String {
    let pattern = pattern.replace('…', GAP);
    if pattern.bytes().any(|b| b.is_ascii_uppercase()) { format!("(?i){pattern}") } else { pattern }
}

fn alone(pattern: &str) -> Result<regex::bytes::Regex, Box<regex::Error>> {
    regex::bytes::RegexBuilder::new(pattern).unicode(false).build().map_err(Box::new)
}

fn set_of(patterns: &[String]) -> Result<RegexSet, regex::Error> {
    RegexSetBuilder::new(patterns).unicode(false).size_limit(SIZE_LIMIT).dfa_size_limit(CACHE_LIMIT).build()
}

/// Keys of the status tables: `5.1.1` stays, `x.1.1` becomes `.1.1`.
fn tails(table: Classes) -> HashMap<String, ReplyClass> {
    table.into_iter().map(|(key, class)| (key.strip_prefix('x').map(str::to_owned).unwrap_or(key), class)).collect()
}

/// The entry of a code: 5.1.1, then .1.1, then 5.1, then .1.
fn look_up(table: &HashMap<String, ReplyClass>, enhanced: &str) -> Option<ReplyClass> {
    let subject = enhanced.rsplit_once('.').map_or("", |(subject, _)| subject);
    [enhanced, subject].into_iter().find_map(|key| table.get(key).or_else(|| table.get(key.get(1..)?)).copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_with_the_same_gist_have_the_same_class() {
        let catalogue = Catalogue::builtin();
        let replies: Vec<_> = examples().collect();
        for (provider, _, _, reply) in &replies {
            let other = reply.replace("example.com", "example.org").replace("192.0.2.", "198.51.100.");
            if Catalogue::gist(reply) == Catalogue::gist(&other) {
                let class = |text: &str| catalogue.class_of(provider, text, None, "");
                assert_eq!(class(reply), class(&other), "{reply}");
            }
        }
        let gist = |address: &str| Catalogue::gist(&format!("smtp;550 5.1.1 <{address}>: unknown user"));
        assert_eq!(gist("a@example.com"), gist("b.c@example.org"));
        assert_ne!(Catalogue::gist("smtp;550 5.1.1 no"), Catalogue::gist("smtp;550 5.1.2 no"));
        assert_ne!(Catalogue::gist("smtp;550 no"), Catalogue::gist("smtp;450 no"));
    }

    #[test]
    fn every_automaton_of_the_asset_can_be_built() {
        let catalogue = Catalogue::builtin();
        catalogue.signature.check().unwrap();
        catalogue.stages.iter().for_each(|stage| stage.set.check().unwrap());
        assert!(catalogue.stages.len() > 3);
    }

    #[test]
    fn the_catalogue_of_the_program_is_sound() {
        let source: Source = toml::from_str(BUILTIN).unwrap();
        for entry in source.code.iter().chain(&source.phrase).chain(&source.generic).chain(&source.weak) {
            alone(&compiled(&entry.pattern)).unwrap_or_else(|error| panic!("{}: {error}", entry.pattern));
            assert!(!entry.pattern.bytes().any(|b| b.is_ascii_uppercase()), "{}", entry.pattern);
        }
        assert!(source.code.iter().chain(&source.phrase).all(|entry| entry.provider.is_some()));
        let catalogue = Catalogue::with_entries(Vec::new()).unwrap();
        assert!(ReplyClass::all().all(|class| !catalogue.words_of(class).1.is_empty()));
    }

    fn examples() -> impl Iterator<Item = (&'static str, &'static str, &'static str, &'static str)> {
        include_str!("examples.tsv").lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(|line| {
            let mut cells = line.splitn(4, '\t');
            let mut next = || cells.next().unwrap();
            (next(), next(), next(), next())
        })
    }

    #[test]
    fn every_published_example_gets_its_class_and_scope() {
        let catalogue = Catalogue::builtin();
        let mut wrong = Vec::new();
        for (provider, class, scope, reply) in examples() {
            for diag in [reply.to_owned(), format!("smtp;{reply}"), format!("smtp; {}", reply.to_uppercase())] {
                let verdict = catalogue.classify(provider, &diag, None, "");
                let found = verdict.class.map_or("none", ReplyClass::as_str);
                if found != class || verdict.scope.as_str() != scope {
                    let rule = verdict.rule.and_then(|rule| catalogue.rule(rule)).map_or("", |entry| &entry.pattern);
                    wrong.push(format!(
                        "{provider}: {diag}\n    wanted {class}/{scope}, found {found}/{} by {rule}",
                        verdict.scope.as_str()
                    ));
                    break;
                }
            }
        }
        assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    }

    #[test]
    fn an_answer_without_text_is_read_from_its_codes() {
        let catalogue = Catalogue::builtin();
        for (diag, status, category, class) in [
            ("", Some("4.4.1"), "", "connection"),
            ("", Some("4.4.1 (no answer from host)"), "", "connection"),
            ("", Some("5.1.2 (bad destination system: no such domain)"), "", "bad-domain"),
            ("", Some("4.4.7"), "message-expired", "expired"),
            ("", Some("5.7.606"), "", "policy"),
            ("", Some("5.0.0 (undefined status)"), "bad-mailbox", "unknown-user"),
            ("", Some("5.0.0"), "other", "other"),
            ("", Some("552"), "", "mailbox-full"),
            ("", None, "quota-issues", "mailbox-full"),
            ("", None, "Spam-Related", "content-spam"),
            ("smtp;550 5.1.1 <a@b.example> rejected", None, "", "unknown-user"),
            ("smtp;450 4.2.2 try again later", None, "", "mailbox-full"),
            ("smtp;550 xyzzy", Some("5.0.0"), "", "other"),
            ("smtp;250 2.0.0 ok, spam", Some("2.0.0"), "success", "none"),
            ("smtp; 250 ok", None, "", "none"),
            ("", Some("2.0.0(success)"), "success", "none"),
            ("", None, "success", "none"),
            ("", None, "", "none"),
        ] {
            let found = catalogue.class_of("other", diag, status, category).map_or("none", ReplyClass::as_str);
            assert_eq!(found, class, "{diag} {status:?} {category}");
        }
    }

    #[test]
    fn what_powermta_writes_itself_is_not_held_against_the_receiver() {
        let catalogue = Catalogue::builtin();
        for (diag, class) in [
            ("smtp;550 5.7.1 recipient is in suppression list \"a1\": <foo@bar.example>", "local"),
            ("smtp;554 5.0.0 deleted by administrator", "local"),
            ("message expired", "expired"),
        ] {
            assert_eq!(catalogue.class_of("Google", diag, None, "").map(ReplyClass::as_str), Some(class), "{diag}");
        }
    }

    #[test]
    fn a_phrase_counts_for_its_provider_or_where_the_text_is_signed() {
        let catalogue = Catalogue::builtin();
        let quoted = "550 Mailbox unavailable or access denied";
        assert_eq!(catalogue.class_of("QQ", quoted, None, ""), Some(ReplyClass::RcptRate));
        assert_eq!(catalogue.class_of("other", quoted, None, ""), Some(ReplyClass::UnknownUser));
        let signed = "421-4.7.0 Try again later, closing connection. d2e1a72fcca58-70si123 - gsmtp";
        assert_eq!(catalogue.class_of("other", signed, None, ""), Some(ReplyClass::Throttle));
        assert_eq!(
            catalogue.class_of("other", "421 [TSS04] Messages from 192.0.2.1", None, ""),
            Some(ReplyClass::ThrottleReputation)
        );
    }

    #[test]
    fn words_inside_addresses_are_not_the_servers() {
        let catalogue = Catalogue::builtin();
        let diag = "550 5.0.0 <spam.virus@blocklist.example>";
        assert_eq!(catalogue.class_of("other", diag, None, ""), Some(ReplyClass::Other));
    }

    #[test]
    fn a_verdict_names_the_list_and_the_address() {
        let catalogue = Catalogue::builtin();
        let verdict = catalogue.classify(
            "other",
            "smtp;554 5.7.1 Client host [192.0.2.7] blocked using zen.spamhaus.org",
            None,
            "",
        );
        assert_eq!((verdict.blocklist, verdict.listed_ip.as_deref()), (Some("Spamhaus ZEN"), Some("192.0.2.7")));
        let verdict = catalogue.classify("Comcast", "554 192.0.2.7 see http://x.example/#BL000010", None, "");
        assert_eq!(verdict.blocklist, Some("Cloudmark CSI"));
        let verdict = catalogue.classify("other", "550 5.1.1 [192.0.2.7] user unknown", None, "");
        assert_eq!((verdict.blocklist, verdict.listed_ip, verdict.scope), (None, None, Scope::Recipient));
        assert!(!verdict.meaning.is_empty() && !verdict.advice.is_empty());
    }

    #[test]
    fn the_users_rules_come_first_and_may_be_bound_to_a_provider() {
        let entry = |text: &str| toml::from_str::<Entry>(text).unwrap();
        let entries = vec![
            entry("match = 'Frobnicated'\nclass = 'local'\nmeaning = 'ours'"),
            entry("provider = 'google'\nmatch = 'user unknown'\nclass = 'policy'"),
        ];
        let catalogue = Catalogue::with_entries(entries).unwrap();
        let verdict = catalogue.classify("other", "550 5.1.1 FROBNICATED [TSS04]", None, "");
        assert_eq!((verdict.class, verdict.meaning, verdict.rule), (Some(ReplyClass::Local), "ours", Some(0)));
        assert_eq!(catalogue.class_of("Google", "550 User unknown", None, ""), Some(ReplyClass::Policy));
        assert_eq!(catalogue.class_of("Apple", "550 User unknown", None, ""), Some(ReplyClass::UnknownUser));
        let broken = Catalogue::with_entries(vec![entry("match = '(x'\nclass = 'other'")]);
        assert!(matches!(broken, Err(Error::Pattern { pattern, .. }) if pattern == "(x"));
    }

    #[test]
    fn no_text_makes_it_panic() {
        let catalogue = Catalogue::builtin();
        let pieces = [
            "5",
            "550",
            "4.7.1",
            "-",
            " ",
            ";",
            "smtp;",
            "\"",
            "é",
            "\u{1f600}",
            "@",
            "a@b",
            "<",
            ">",
            "[",
            "1.2.3.4",
            "::1",
            ":",
            "\0",
            "\n",
            "\u{feff}",
            "ß",
            "said: ",
            "#",
            "=",
            "/",
            "?",
            "2024-01-31T",
            "12:30:45",
            "deadbeef01",
            ".",
            "\u{301}",
            "OFR_",
            "…",
            "://",
        ];
        // A linear congruential generator: the same texts in every run.
        let mut seed = 7u64;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..12 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text.push_str(pieces[(seed >> 33) as usize % pieces.len()]);
            }
            let _ = catalogue.classify("Google", &text, Some(&text), &text);
            let _ = super::super::template::template(&text);
            let _ = first_ip(&text);
        }
        let long = "é".repeat(TEXT_LIMIT);
        assert_eq!(catalogue.class_of(&long, &long, Some(&long), &long), Some(ReplyClass::Other));
    }
}

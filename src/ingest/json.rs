//! JSON accounting (PowerMTA 5 and later): one object a line, an array, objects one behind the other, or
//! rows inside the array of a wrapping object. An object is found by its brackets, with line and offset,
//! and rewritten as a CSV record, so that what rows mean is decided in one place.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor, value};

use super::frame::{Framer, Span};
use super::header::{self, Names, Plan};
use crate::event::RecordType;

/// The longest piece of a broken object that is kept.
const KEPT: usize = 64 << 10;
/// Bytes looked at first when an object is searched for its end.
const FIRST_LOOK: usize = 4096;
/// Key lists remembered before the memory is emptied.
const REMEMBERED: usize = 4096;
/// Brackets around rows; deeper ones are no wrapper that anyone writes.
const DEEPEST: usize = 64;

/// What comes next in a stream of objects.
#[derive(Debug)]
pub enum Found {
    /// An object, complete by its brackets.
    Object(Span),
    /// Something else, passed over up to the next object.
    Bad(Bad),
    /// The stream has ended.
    End,
}

/// What stands where an object should.
#[derive(Debug)]
pub struct Bad {
    /// Line of its first byte, from 1.
    pub line: u64,
    /// Offset of its first byte.
    pub offset: u64,
    /// What is wrong with it.
    pub reason: String,
    /// Its beginning.
    pub text: Vec<u8>,
}

/// Whether content that begins like this is JSON.
pub fn is_json(beginning: &[u8]) -> bool {
    matches!(beginning.trim_ascii_start().first(), Some(b'{' | b'['))
}

/// Finds the objects that are rows.
#[derive(Debug, Default)]
pub struct Objects {
    /// The brackets that are open around the rows.
    open: Vec<u8>,
}

impl Objects {
    /// The next object.
    pub fn next<R: Read>(&mut self, framer: &mut Framer<R>, max_record: usize) -> io::Result<Found> {
        loop {
            if let Some(found) = self.gap(framer)? {
                return Ok(found);
            }
            match look(framer, max_record)? {
                Look::Wrapper => {
                    if self.open.len() >= DEEPEST {
                        self.open.clear();
                    }
                    self.open.push(b'{');
                    framer.advance(1);
                }
                Look::Row(length) => return Ok(Found::Object(framer.take_bytes(length))),
                Look::Broken(reason, resume) => {
                    self.recover();
                    return Ok(Found::Bad(pass_over(framer, &reason, resume)?));
                }
            }
        }
    }

    /// After something broken, the next object is a row unless an array says otherwise.
    fn recover(&mut self) {
        while self.open.last() == Some(&b'{') {
            self.open.pop();
        }
    }

    /// Moves to the next row's brace; `Some` at the end or at what has no place between rows.
    fn gap<R: Read>(&mut self, framer: &mut Framer<R>) -> io::Result<Option<Found>> {
        loop {
            let window = framer.ahead(1)?;
            if window.is_empty() {
                return Ok(Some(Found::End));
            }
            let mut at = 0;
            let mut stop = None;
            while let Some(byte) = window.get(at) {
                let top = self.open.last().copied();
                let wrapped = self.open.contains(&b'{');
                match byte {
                    b' ' | b'\t' | b'\r' | b'\n' | b',' | 0 => {}
                    b'[' => self.open.push(b'['),
                    b']' if top == Some(b'[') => drop(self.open.pop()),
                    b'{' if top == Some(b'{') => self.open.push(b'{'),
                    b'}' if top == Some(b'{') => drop(self.open.pop()),
                    b'"' if wrapped => stop = Some(Stop::Text),
                    b':' | b'-' | b'+' | b'.' if wrapped => {}
                    byte if wrapped && byte.is_ascii_alphanumeric() => {}
                    b'{' => stop = Some(Stop::Row),
                    _ => stop = Some(Stop::Junk),
                }
                if stop.is_some() {
                    break;
                }
                at += 1;
            }
            if self.open.len() > DEEPEST {
                self.open.clear();
            }
            framer.advance(at);
            match stop {
                None => {}
                Some(Stop::Row) => return Ok(None),
                Some(Stop::Text) => skip_text(framer)?,
                Some(Stop::Junk) => {
                    self.recover();
                    let bad = pass_over(framer, "no JSON object: rows are objects such as {\"type\":\"d\",…}", None)?;
                    return Ok(Some(Found::Bad(bad)));
                }
            }
        }
    }
}

enum Stop {
    Row,
    Text,
    Junk,
}

/// Passes over a string of a wrapping object.
fn skip_text<R: Read>(framer: &mut Framer<R>) -> io::Result<()> {
    framer.advance(1);
    let mut escaped = false;
    loop {
        let window = framer.ahead(1)?;
        if window.is_empty() {
            return Ok(());
        }
        let end = window.iter().position(|byte| {
            let closes = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            closes || *byte == b'\n'
        });
        let count = end.map_or(window.len(), |end| end + 1);
        framer.advance(count);
        if end.is_some() {
            return Ok(());
        }
    }
}

enum Look {
    /// A row of this many bytes.
    Row(usize),
    /// An object around an array of rows.
    Wrapper,
    /// What is wrong, and the distance to the next object where that is known.
    Broken(String, Option<usize>),
}

/// What the object at the current position is.
fn look<R: Read>(framer: &mut Framer<R>, max_record: usize) -> io::Result<Look> {
    let mut want = FIRST_LOOK;
    loop {
        let window = framer.ahead(want)?;
        let length = window.len();
        let scan = scan(window);
        let undecided = matches!(scan.end, End::Open) && length >= want && length <= max_record;
        if undecided {
            want = length.saturating_mul(2).min(max_record + 1);
            continue;
        }
        if scan.rows_inside && !scan.is_row() {
            return Ok(Look::Wrapper);
        }
        return Ok(match scan.end {
            End::Closed(end) if end <= max_record => Look::Row(end),
            End::Closed(_) => Look::Broken(too_long(max_record), None),
            End::Open if length > max_record => Look::Broken(too_long(max_record), None),
            End::Open => Look::Broken("the last object is cut off".to_owned(), None),
            End::Wrong(what, at) => {
                // A brace where a name should stand is that of the next object.
                let resume = (window.get(at) == Some(&b'{')).then_some(at);
                Look::Broken(format!("no valid JSON: {what}"), resume)
            }
        });
    }
}

fn too_long(max_record: usize) -> String {
    format!("longer than {max_record} bytes (`ingest.max_record_bytes`)")
}

/// Passes over broken content up to where the next object begins, in constant memory.
fn pass_over<R: Read>(framer: &mut Framer<R>, reason: &str, resume: Option<usize>) -> io::Result<Bad> {
    /// Enough to see where an object begins across two looks.
    const OVERLAP: usize = 4096;
    let (line, offset) = framer.place();
    let mut bad = Bad { line, offset, reason: reason.to_owned(), text: Vec::new() };
    loop {
        let window = framer.ahead(KEPT.max(resume.unwrap_or_default()))?;
        let last = window.len() < KEPT;
        let found = resume.or_else(|| next_object(window));
        let count = found.unwrap_or(if last { window.len() } else { window.len() - OVERLAP });
        let kept = count.min(KEPT.saturating_sub(bad.text.len()));
        bad.text.extend_from_slice(&window[..kept]);
        framer.advance(count);
        if found.is_some() || last {
            let trimmed = bad.text.trim_ascii_end().len();
            bad.text.truncate(trimmed);
            return Ok(bad);
        }
    }
}

/// Where the next object begins: at the beginning of a line, or behind the end of another object.
fn next_object(window: &[u8]) -> Option<usize> {
    let mut from = 1;
    while let Some(found) = memchr::memchr(b'{', window.get(from..)?) {
        let at = from + found;
        let before = window[..at].iter().rposition(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b','));
        let after = window[at + 1..].iter().find(|byte| !byte.is_ascii_whitespace());
        if before.is_some_and(|place| matches!(window[place], b'\n' | b'}' | b'[') && place > 0)
            && matches!(after, Some(b'"' | b'}') | None)
        {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

enum End {
    /// The object has this many bytes.
    Closed(usize),
    /// There is more to come.
    Open,
    /// What is wrong, and where it shows.
    Wrong(&'static str, usize),
}

struct Scan {
    end: End,
    /// It holds an array that is empty or begins with an object.
    rows_inside: bool,
    /// A `type` member tells a record type.
    typed: bool,
    /// Its members that are columns of PowerMTA.
    known: usize,
}

impl Scan {
    fn is_row(&self) -> bool {
        self.typed || self.known >= 2
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// A key, or the end of an object that is empty.
    KeyOrEnd,
    Key,
    Colon,
    Value,
    /// A value, or the end of an array that is empty.
    ValueOrEnd,
    CommaOrEnd,
}

/// Follows the brackets and strings of the object that begins here.
fn scan(window: &[u8]) -> Scan {
    let mut scan = Scan { end: End::Open, rows_inside: false, typed: false, known: 0 };
    let mut stack: Vec<u8> = Vec::new();
    let mut expect = Expect::Value;
    let mut key_is_type = false;
    let mut at = 0;
    while let Some(byte) = window.get(at).copied() {
        match (byte, expect) {
            (b' ' | b'\t' | b'\r' | b'\n', _) => {}
            (b'{', _) if at > 0 && window[at - 1] == b'\n' => {
                scan.end = End::Wrong("the object is not closed", at);
                return scan;
            }
            (b'"', Expect::Key | Expect::KeyOrEnd | Expect::Value | Expect::ValueOrEnd) => {
                let end = match text_end(&window[at + 1..]) {
                    Text::Ends(length) => at + 1 + length,
                    Text::More => return scan,
                    Text::Wrong(what) => {
                        scan.end = End::Wrong(what, at);
                        return scan;
                    }
                };
                let text = &window[at + 1..end];
                if matches!(expect, Expect::Key | Expect::KeyOrEnd) {
                    if stack.len() == 1 {
                        let name = String::from_utf8_lossy(text);
                        key_is_type = header::is_type_cell(&name);
                        scan.known += usize::from(!key_is_type && header::known(&name));
                    }
                    expect = Expect::Colon;
                } else {
                    if stack.len() == 1 && key_is_type {
                        scan.typed |= RecordType::of_cell(&String::from_utf8_lossy(text)).is_some();
                    }
                    expect = Expect::CommaOrEnd;
                }
                at = end;
            }
            (b':', Expect::Colon) => expect = Expect::Value,
            (b'{', Expect::Value | Expect::ValueOrEnd) => {
                stack.push(b'{');
                expect = Expect::KeyOrEnd;
            }
            (b'[', Expect::Value | Expect::ValueOrEnd) => {
                stack.push(b'[');
                expect = Expect::ValueOrEnd;
                let next = window[at + 1..].iter().find(|byte| !byte.is_ascii_whitespace());
                scan.rows_inside |= matches!(next, Some(b'{' | b']'));
            }
            (b'}', Expect::KeyOrEnd | Expect::CommaOrEnd) if stack.last() == Some(&b'{') => {
                stack.pop();
                expect = Expect::CommaOrEnd;
            }
            (b']', Expect::ValueOrEnd | Expect::CommaOrEnd) if stack.last() == Some(&b'[') => {
                stack.pop();
                expect = Expect::CommaOrEnd;
            }
            (b',', Expect::CommaOrEnd) => {
                expect = if stack.last() == Some(&b'{') { Expect::Key } else { Expect::Value };
            }
            (b'-' | b'0'..=b'9' | b'a'..=b'z', Expect::Value | Expect::ValueOrEnd) => {
                let length = window[at..]
                    .iter()
                    .position(|byte| !matches!(byte, b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'E'));
                let Some(length) = length else { return scan };
                at += length - 1;
                expect = Expect::CommaOrEnd;
            }
            _ => {
                let what = match expect {
                    Expect::Key | Expect::KeyOrEnd => "a name in quotes is missing",
                    Expect::Colon => "a colon is missing behind a name",
                    Expect::Value | Expect::ValueOrEnd => "a value is missing",
                    Expect::CommaOrEnd => "a comma or a closing bracket is missing",
                };
                scan.end = End::Wrong(what, at);
                return scan;
            }
        }
        at += 1;
        if stack.is_empty() {
            scan.end = End::Closed(at);
            return scan;
        }
    }
    scan
}

enum Text {
    Ends(usize),
    More,
    Wrong(&'static str),
}

/// Where a string ends whose opening quote stands before these bytes.
fn text_end(bytes: &[u8]) -> Text {
    let mut from = 0;
    loop {
        match memchr::memchr3(b'"', b'\\', b'\n', &bytes[from.min(bytes.len())..]) {
            None => return Text::More,
            Some(found) => match bytes[from + found] {
                b'"' => return Text::Ends(from + found),
                b'\\' => from += found + 2,
                _ => return Text::Wrong("a quote is opened and not closed"),
            },
        }
    }
}

/// The members of one object, in their order; what is no string is written as JSON writes it.
struct Members<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<Cell<'de>, Cell<'de>>()? {
                    members.push((name.0, value.0));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// One value as text.
struct Cell<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Cell<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        fn owned<'a>(text: impl ToString) -> Cell<'a> {
            Cell(Cow::Owned(text.to_string()))
        }
        impl<'de> Visitor<'de> for Any {
            type Value = Cell<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cell(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(owned(text))
            }
            fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
                Ok(owned(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
                Ok(owned(value))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
                Ok(owned(value))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
                Ok(owned(value))
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Cell(Cow::Borrowed("")))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                serde_json::Value::deserialize(value::SeqAccessDeserializer::new(seq)).map(owned)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                serde_json::Value::deserialize(value::MapAccessDeserializer::new(map)).map(owned)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// Rewrites objects as CSV records, each with the plan of its keys.
#[derive(Debug, Default)]
pub struct Transcoder {
    record: Vec<u8>,
    /// The keys of the object, and those of the one before.
    keys: String,
    before: String,
    plans: HashMap<String, Result<Plan, String>>,
}

impl Transcoder {
    /// The record of an object and, where its keys are others than those of the object before, the plan
    /// that is right from here on. `typed_by_name`: the file's name tells the record type.
    pub fn record(
        &mut self,
        object: &[u8],
        names: &Names,
        typed_by_name: bool,
    ) -> Result<(&[u8], Option<&Plan>), String> {
        let lossy;
        let object = match std::str::from_utf8(object) {
            Ok(text) => text,
            Err(_) => {
                lossy = String::from_utf8_lossy(object).into_owned();
                &lossy
            }
        };
        let members: Members<'_> = serde_json::from_str(object).map_err(|error| format!("no valid JSON: {error}"))?;
        self.keys.clear();
        self.record.clear();
        for (index, (name, value)) in members.0.iter().enumerate() {
            if index > 0 {
                self.keys.push('\u{1f}');
                self.record.push(b',');
            }
            self.keys.push_str(name);
            push_cell(&mut self.record, value);
        }
        if self.keys == self.before && !self.keys.is_empty() {
            return Ok((&self.record, None));
        }
        if self.plans.len() >= REMEMBERED {
            self.plans.clear();
        }
        if !self.plans.contains_key(&self.keys) {
            let cells: Vec<String> = members.0.iter().map(|member| member.0.to_string()).collect();
            let plan = Plan::of_header(&cells, names, typed_by_name).map_err(|error| error.to_string());
            self.plans.insert(self.keys.clone(), plan);
        }
        let plan = self.plans.get(&self.keys).ok_or("no keys")?.as_ref().map_err(Clone::clone)?;
        self.before.clone_from(&self.keys);
        Ok((&self.record, Some(plan)))
    }
}

fn push_cell(record: &mut Vec<u8>, value: &str) {
    let bytes = value.as_bytes();
    if memchr::memchr3(b',', b'"', b'\n', bytes).is_none() {
        record.extend_from_slice(bytes);
        return;
    }
    record.push(b'"');
    for byte in bytes {
        if *byte == b'"' {
            record.push(b'"');
        }
        record.push(*byte);
    }
    record.push(b'"');
}

/// What the first objects tell: the plan of the first usable one, and the record types met. Without any
/// object the plan is empty.
pub fn start(beginning: &[u8], names: &Names, typed_by_name: bool) -> Result<(Plan, u8), (usize, header::Error)> {
    let mut framer = Framer::new(beginning, beginning.len());
    let mut objects = Objects::default();
    let (mut plan, mut types, mut refused) = (None, 0u8, None);
    loop {
        // Reading from memory cannot fail.
        let span = match objects.next(&mut framer, beginning.len()) {
            Ok(Found::Object(span)) => span,
            Ok(Found::Bad(_)) => continue,
            Ok(Found::End) | Err(_) => break,
        };
        let text = String::from_utf8_lossy(framer.bytes(&span));
        let Ok(members) = serde_json::from_str::<Members<'_>>(&text) else { continue };
        if let Some(record) = members
            .0
            .iter()
            .find(|member| header::is_type_cell(&member.0))
            .and_then(|member| RecordType::of_cell(&member.1))
        {
            types |= 1 << record.index();
        }
        if plan.is_none() {
            let cells: Vec<String> = members.0.iter().map(|member| member.0.to_string()).collect();
            let usable = Plan::spelling(&cells).and_then(|()| Plan::of_header(&cells, names, typed_by_name));
            match usable {
                Ok(found) => plan = Some(found),
                Err(error) => {
                    let line = usize::try_from(span.line).unwrap_or_default();
                    refused = Some(refused.unwrap_or((line, error)));
                }
            }
        }
    }
    match (plan, refused) {
        (None, Some(error)) => Err(error),
        (plan, _) => Ok((plan.unwrap_or_default(), types)),
    }
}

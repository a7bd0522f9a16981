//! Hooks against a receiver that refuses, fails, stalls, answers nothing and restarts, and a sender that is killed: nothing
//! is lost, and who drops repeated ids has everything once and in order.

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pmtop::catalog::clock;
use pmtop::catalog::locks::Lock;
use pmtop::catalog::outbox::{DELIVERED, Entry, GIVEN_UP};
use pmtop::config::Config;
use pmtop::hook;
use pmtop::insight::incident::{Evidence, Happening, Incident, Severity, State, Step};
use serde_json::Value as Json;

use crate::support::Desk;

/// How a receiver takes one request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Manner {
    /// Takes it and says so.
    Takes,
    /// Does not take it: HTTP 500.
    Fails,
    /// Takes it and does not answer before the time is up.
    Stalls,
    /// Takes it and closes the connection without an answer.
    Drops,
}

/// What a receiver took: event ids in the order of their coming, repeated ones too.
type Taken = Arc<Mutex<Vec<String>>>;

/// A web server on this machine; it stops listening when dropped.
struct Receiver {
    stop: Arc<AtomicBool>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    fn start(address: SocketAddr, taken: &Taken, manner: impl Fn() -> Manner + Send + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, taken) = (Arc::new(AtomicBool::new(false)), Arc::clone(taken));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                // Whoever is killed in the middle has not said all; then there is nothing to take.
                if let Some((stream, id)) = stream.ok().and_then(read) {
                    answer(stream, id, manner(), &taken);
                }
            }
        });
        Self { stop, address, thread: Some(thread) }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        TcpStream::connect(self.address).ok();
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Reads one request whole; its event id, which header and body agree on.
fn read(stream: TcpStream) -> Option<(TcpStream, String)> {
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut reader = BufReader::new(stream);
    let mut headers = BTreeMap::new();
    let mut first = String::new();
    reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.trim().to_owned()),
            None => break,
        };
    }
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    reader.read_exact(&mut body).ok()?;
    assert!(first.starts_with("POST /hook HTTP/1.1"), "{first}");
    assert_eq!(headers["authorization"], "Bearer secret");
    let told: Json = serde_json::from_slice(&body).unwrap();
    let id = headers["x-pmtop-event-id"].clone();
    assert_eq!(told["event_id"], id.as_str());
    Some((reader.into_inner(), id))
}

fn answer(mut stream: TcpStream, id: String, manner: Manner, taken: &Taken) {
    if manner != Manner::Fails {
        taken.lock().unwrap().push(id);
    }
    let status = match manner {
        Manner::Takes => "200 OK",
        Manner::Fails => "500 Internal Server Error",
        Manner::Drops => return,
        Manner::Stalls => {
            // On a thread of its own: a receiver that stalls one request may take others.
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(700));
                drop(stream);
            });
            return;
        }
    };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok();
}

fn incident(number: usize) -> Incident {
    Incident {
        id: format!("i{number:03}"),
        rule: "provider-throttling".to_owned(),
        severity: Severity::High,
        state: State::Open,
        opened_at: 1_000_000 * i64::try_from(number).unwrap(),
        closed_at: None,
        scope: [("provider".to_owned(), "Google".to_owned())].into(),
        headline: "Google defers more than usual".to_owned(),
        value: 0.4,
        baseline: Some(0.02),
        basis: "same hour of 4 weeks".to_owned(),
        hits: 400,
        of: 1000,
        causes: Vec::new(),
        evidence: Evidence::default(),
        notes: Vec::new(),
        silenced_until: None,
        reopened: 0,
    }
}

/// Opened, escalated and resolved of so many incidents.
fn happenings(incidents: usize) -> Vec<Happening> {
    let life = |number| {
        let mut one = incident(number);
        let opened = Happening::new(Step::Opened, &one);
        one.severity = Severity::Critical;
        let escalated = Happening::new(Step::Escalated, &one);
        (one.state, one.closed_at) = (State::Resolved, Some(one.opened_at + 60_000_000));
        [opened, escalated, Happening::new(Step::Resolved, &one)]
    };
    (0..incidents).flat_map(life).collect()
}

/// A catalog with settings in a file, as the program reads them.
struct Office {
    desk: Desk,
    settings: PathBuf,
}

impl Office {
    fn new(hooks: &str) -> Self {
        let desk = Desk::new();
        std::fs::write(desk.path("token"), "secret\n").unwrap();
        std::fs::create_dir(desk.path("in")).unwrap();
        let settings = desk.path("pmtop.toml");
        std::fs::write(&settings, hooks.replace("FOLDER", desk.folder.path().to_str().unwrap())).unwrap();
        Self { desk, settings }
    }

    fn config(&self) -> Config {
        Config::load(Some(&self.settings)).unwrap()
    }

    fn queue(&self, happenings: &[Happening]) {
        let incidents = self.desk.catalog().incidents().unwrap();
        incidents
            .replace(&[], &hook::tell(&self.config(), happenings, hook::Times { since: 0, now: 0, at: clock() }), &[])
            .unwrap();
    }

    fn told(&self, hook: &str) -> Vec<Entry> {
        let told = self.desk.catalog().incidents().unwrap().told().unwrap();
        told.into_iter().filter(|entry| entry.hook == hook).collect()
    }

    fn delivered(&self, hook: &str) -> usize {
        self.told(hook).iter().filter(|entry| entry.outcome.as_deref() == Some(DELIVERED)).count()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pmtop"));
        command.env_clear().env("HOME", self.desk.folder.path()).env("PATH", "/usr/bin:/bin");
        command.arg("--config").arg(&self.settings).arg("--catalog").arg(&self.desk.config.catalog);
        command.args(arguments).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn watch(&self) -> Watch {
        let inbox = self.desk.path("in");
        let mut command = self.command(&["--inbox", inbox.to_str().unwrap(), "watch"]);
        Watch(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

/// `pmtop watch`, killed without a warning when dropped.
struct Watch(Child);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Waits until something is so.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < end, "{what} did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A port that nobody listens on.
fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

const QUICK: &str = "timeout_seconds = 0.25\nconnect_seconds = 0.25\nretry_seconds = 0.02\nretry_most_seconds = 0.1\n\
                     most_at_once = 0\ntoken_file = \"FOLDER/token\"\n";

/// Ids as a receiver keeps them that drops repeated ones: all of them, each once, and no step before an earlier one.
fn assert_whole(taken: &[String], happenings: &[Happening]) {
    let mut known = HashSet::new();
    let once: Vec<&String> = taken.iter().filter(|id| known.insert(id.as_str())).collect();
    let mut sorted: Vec<&str> = once.iter().map(|id| id.as_str()).collect();
    sorted.sort_unstable();
    let mut wanted: Vec<&str> = happenings.iter().map(|happening| happening.event_id.as_str()).collect();
    wanted.sort_unstable();
    assert_eq!(sorted, wanted, "everything arrives");
    let place = |id: &str| once.iter().position(|known| *known == id).unwrap();
    for life in happenings.chunks(3) {
        let places: Vec<usize> = life.iter().map(|happening| place(&happening.event_id)).collect();
        assert!(places.is_sorted(), "{:?} came as {places:?}", life[0].incident.id);
    }
}

#[test]
fn nothing_is_lost_and_everything_is_told_once() {
    const INCIDENTS: usize = 70;
    let (address, stuck) = (free_port(), TcpListener::bind("127.0.0.1:0").unwrap());
    let stuck_address = stuck.local_addr().unwrap();
    let office = Office::new(&format!(
        "[[hooks]]\nname = \"web\"\nurl = \"http://{address}/hook\"\n{QUICK}\
         [[hooks]]\nname = \"stuck\"\nurl = \"http://{stuck_address}/hook\"\n{QUICK}\
         [[hooks]]\nname = \"program\"\ncommand = [\"/bin/sh\", \"FOLDER/program\", \"FOLDER\"]\n{}",
        QUICK.replacen("0.25", "1.0", 1)
    ));
    // Every seventh time it fails, every seventh it takes what it is told and says that it did not, and twice it stalls.
    let program = "cd \"$1\"; test \"$(wc -c)\" -gt 100 || exit 9; echo >> tries; n=$(wc -l < tries)\n\
                   case $((n % 7)) in 3) exit 1;; esac\n\
                   echo \"$PMTOP_EVENT_ID $PMTOP_STEP $PMTOP_RULE $PMTOP_SEVERITY\" >> taken\n\
                   case $((n % 7)) in 5) exit 75;; esac\n\
                   case $n in 20|90) sleep 30;; esac\n";
    std::fs::write(office.desk.path("program"), program).unwrap();
    let happenings = happenings(INCIDENTS);
    office.queue(&happenings);
    let all = happenings.len();
    assert!(all >= 200);

    // Nobody listens yet.
    let mut watch = office.watch();
    until("a refusal", || office.told("web").iter().any(|entry| entry.error.is_some()));
    assert_eq!(office.delivered("web"), 0);

    // It listens, and is no good.
    let taken = Taken::default();
    let count = Arc::new(AtomicUsize::new(0));
    let receiver = |taken: &Taken| {
        let count = Arc::clone(&count);
        Receiver::start(address, taken, move || match count.fetch_add(1, Ordering::Relaxed) % 25 {
            3 | 4 => Manner::Fails,
            10 => Manner::Stalls,
            16 => Manner::Drops,
            _ => Manner::Takes,
        })
    };
    let mut server = Some(receiver(&taken));
    // The sender is killed in the middle again and again, the receiver restarts on its port.
    for part in 1..=4 {
        until("a fifth of all", || taken.lock().unwrap().len() >= all * part / 5);
        drop(watch);
        if part % 2 == 0 {
            drop(server.take());
        }
        watch = office.watch();
        if server.is_none() {
            std::thread::sleep(Duration::from_millis(100));
            server = Some(receiver(&taken));
        }
    }
    until("the end", || office.delivered("web") == all && office.delivered("program") == all);
    drop(watch);
    drop(server);

    let taken = taken.lock().unwrap().clone();
    assert!(taken.len() > all, "some were told twice, or this test shows nothing");
    assert_whole(&taken, &happenings);
    let lines = std::fs::read_to_string(office.desk.path("taken")).unwrap();
    assert!(lines.lines().all(|line| line.ends_with(" provider-throttling high") || line.ends_with(" critical")));
    let lines: Vec<String> = lines.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert!(lines.len() > all);
    assert_whole(&lines, &happenings);
    for hook in ["web", "program"] {
        let told = office.told(hook);
        assert_eq!(told.len(), all, "one outcome for each");
        assert!(told.iter().all(|entry| entry.finished_at.is_some() && entry.attempts > 0));
        assert!(told.iter().any(|entry| entry.attempts > 1));
    }
    // One hook that never answers was tried all along, and held up nobody.
    let waiting = office.told("stuck");
    assert!(waiting.iter().all(|entry| entry.outcome.is_none()));
    assert!(waiting.iter().map(|entry| entry.attempts).sum::<u32>() > 3);
    drop(stuck);
}

#[test]
fn what_was_given_up_is_recorded_and_can_be_tried_again() {
    let address = free_port();
    let office =
        Office::new(&format!("[[hooks]]\nname = \"web\"\nurl = \"http://{address}/hook\"\nattempts = 2\n{QUICK}"));
    let happenings = happenings(1);
    office.queue(&happenings);
    let owner = Arc::new(AtomicBool::new(true));
    let sender = hook::Sender::spawn(Arc::clone(office.desk.catalog()), office.config().hooks, owner).unwrap();
    let given_up = || office.told("web").iter().filter(|entry| entry.outcome.as_deref() == Some(GIVEN_UP)).count();
    until("the last of the tries", || given_up() == 3);
    assert!(office.told("web").iter().all(|entry| entry.attempts == 2 && entry.error.is_some()));

    // As long as one sends, another process leaves it to that.
    let stop = Arc::new(AtomicBool::new(false));
    assert!(!hook::run_due(office.desk.catalog(), &office.config().hooks, &stop).unwrap());
    drop(sender);

    let failed = office.run(&["hooks", "retry"]);
    let said = String::from_utf8(failed.stderr).unwrap();
    assert_eq!(failed.status.code(), Some(1), "{said}");
    assert!(said.contains("3 to be told, 3 of them not taken"), "{said}");
    let taken = Taken::default();
    let receiver = Receiver::start(address, &taken, || Manner::Takes);
    let fine = office.run(&["hooks", "retry", "web"]);
    assert_eq!(fine.status.code(), Some(0), "{fine:?}");
    assert_whole(&taken.lock().unwrap(), &happenings);
    let list = office.run(&["hooks", "--format", "json"]);
    let list: Json = serde_json::from_slice(&list.stdout).unwrap();
    let list = list.as_array().unwrap();
    assert_eq!(list.len(), 3);
    assert!(list.iter().all(|row| row["outcome"] == DELIVERED && row["hook"] == "web"), "{list:?}");
    drop(receiver);
}

#[test]
fn a_hook_is_tested_by_a_sample_that_nobody_mistakes() {
    let address = free_port();
    let office = Office::new(&format!("[[hooks]]\nname = \"web\"\nurl = \"http://{address}/hook\"\n{QUICK}"));
    let refused = office.run(&["hooks", "test", "web"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stdout).contains("would be tried again"), "{refused:?}");
    let taken = Taken::default();
    let _receiver = Receiver::start(address, &taken, || Manner::Takes);
    let told = office.run(&["hooks", "test", "web"]);
    assert_eq!(told.status.code(), Some(0), "{told:?}");
    assert!(String::from_utf8_lossy(&told.stdout).contains("HTTP 200"), "{told:?}");
    assert!(taken.lock().unwrap()[0].starts_with("test-"));
    assert!(office.told("web").is_empty(), "a sample is in no list");
    let unknown = office.run(&["hooks", "test", "mail"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("(web)"), "{unknown:?}");
}

#[test]
fn a_redirect_is_not_followed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            counted.fetch_add(1, Ordering::Relaxed);
            let (mut stream, _) = read(stream.unwrap()).unwrap();
            let place = format!("http://{address}/elsewhere");
            write!(stream, "HTTP/1.1 307 x\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n").unwrap();
        }
    });
    let office = Office::new(&format!("[[hooks]]\nname = \"web\"\nurl = \"http://{address}/hook\"\n{QUICK}"));
    let out = office.run(&["hooks", "test", "web"]);
    assert!(String::from_utf8_lossy(&out.stdout).contains("redirects are not followed"), "{out:?}");
    assert_eq!((out.status.code(), connections.load(Ordering::Relaxed)), (Some(1), 1));
}

#[test]
fn settings_that_cannot_work_are_told_by_name() {
    let check = |text: &str| -> (Option<i32>, String) {
        let office = Office::new("");
        std::fs::write(&office.settings, text).unwrap();
        let out = office.run(&["config", "check"]);
        (out.status.code(), String::from_utf8(out.stderr).unwrap())
    };
    let (code, said) = check("[[hooks]]\nname = \"pager\"\n");
    assert!(code == Some(1) && said.contains("`pager`: needs `command` or `url`"), "{said}");
    let (code, said) = check("[[hooks]]\nname = \"pager\"\nurl = \"https://x.example\"\non = [\"closed\"]\n");
    assert!(code == Some(1) && said.contains("line 4") && said.contains("resolved"), "{said}");
    let (code, said) = check("[prometheus]\ntextfile = \"/tmp/pmtop.txt\"\n");
    assert!(code == Some(1) && said.contains(".prom"), "{said}");
    let (code, said) = check("[[hooks]]\nname = \"pager\"\ncommand = [\"/bin/true\"]\n");
    assert!(code == Some(0), "{said}");
}

#[test]
fn the_examples_of_hooks_hold_every_key_with_its_default() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.toml")).unwrap();
    // The examples are comments; what explains them is a comment within.
    let lines = text.lines().skip_while(|line| *line != "# [[hooks]]").take_while(|line| line.starts_with('#'));
    let example: String = lines.map(|line| format!("{}\n", line.trim_start_matches('#').trim_start())).collect();
    let example: String = example
        .lines()
        .filter(|line| line.is_empty() || line.contains(" = ") || line.starts_with("[["))
        .fold(String::new(), |text, line| {
            // A sentence may have an equals sign; a key has no space before it.
            let key = line.split(" = ").next().unwrap_or_default();
            if key.contains(' ') { text } else { text + line + "\n" }
        });
    let config = Config::parse(&example, Path::new("example")).unwrap();
    assert_eq!(config.hooks.len(), 2, "{example}");
    let mut defaults: toml::Table = toml::Table::try_from(pmtop::config::hooks::Hook::default()).unwrap();
    for key in ["command", "url", "headers"] {
        defaults.insert(key.to_owned(), toml::Value::Boolean(true));
    }
    let written: toml::Table = example.parse().unwrap();
    for (key, value) in &defaults {
        let found: Vec<&toml::Value> =
            written["hooks"].as_array().unwrap().iter().filter_map(|hook| hook.get(key)).collect();
        assert!(!found.is_empty(), "`{key}` is not in the examples");
        let free = ["name", "command", "url", "headers"].contains(&key.as_str());
        assert!(free || found.iter().all(|found| *found == value), "`{key}` is {found:?}, by default {value}");
    }
}

#[test]
fn a_sender_waits_until_it_owns_the_catalog() {
    let address = free_port();
    let office = Office::new(&format!("[[hooks]]\nname = \"web\"\nurl = \"http://{address}/hook\"\n{QUICK}"));
    let taken = Taken::default();
    let _receiver = Receiver::start(address, &taken, || Manner::Takes);
    office.queue(&happenings(1));
    let owns = Arc::new(AtomicBool::new(false));
    let held = Lock::attempt(&office.desk.catalog().layout().lock("hooks")).unwrap();
    let _sender =
        hook::Sender::spawn(Arc::clone(office.desk.catalog()), office.config().hooks, Arc::clone(&owns)).unwrap();
    std::thread::sleep(Duration::from_millis(700));
    owns.store(true, Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(700));
    assert!(taken.lock().unwrap().is_empty(), "another process sends");
    drop(held);
    until("what was queued", || taken.lock().unwrap().len() == 3);
}

//! A hook that is a program: its arguments come from the settings alone, what happened is JSON on its standard input.

use std::io::{Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::{Try, brief};

/// The exit code that says: never again. The others but 0 say: not now.
const NEVER: i32 = 100;
/// How much of what a program complains is read.
const COMPLAINT: u64 = 2000;
/// How often a running program is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// How long the end of its complaint is waited for, which a child of its own may hold up.
const LINGER: Duration = Duration::from_millis(200);

/// Runs a program until it ends, its time is up, or `stop`.
pub fn run(argv: &[String], variables: &[(&str, String)], body: &str, limit: Duration, stop: &AtomicBool) -> Try {
    let Some((program, arguments)) = argv.split_first() else { return Try::Never("no command".to_owned()) };
    let spawned = Command::new(program)
        .args(arguments)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // A group of its own, so that whatever it starts is killed with it.
        .process_group(0)
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => return Try::Again(format!("{program}: {error}"), None),
    };
    feed(&mut child, body.to_owned());
    let complaint = listen(&mut child);
    let until = Instant::now() + limit;
    let ended = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Ok(status),
            Ok(None) if stop.load(Ordering::Relaxed) => break Err("pmtop was stopped".to_owned()),
            Ok(None) if Instant::now() >= until => {
                break Err(format!("it took longer than {} s and was killed", limit.as_secs_f64()));
            }
            Ok(None) => std::thread::sleep(LOOK),
            Err(error) => break Err(error.to_string()),
        }
    };
    match ended {
        Ok(status) => judge(status, &complaint.recv_timeout(LINGER).unwrap_or_default()),
        Err(why) => {
            kill(&mut child);
            Try::Again(why, None)
        }
    }
}

/// Writes to a program's standard input on a thread of its own: one that does not read must not hold up its time limit.
fn feed(child: &mut Child, body: String) {
    if let Some(mut input) = child.stdin.take() {
        // A program that does not read what it is told is free to.
        std::thread::spawn(move || input.write_all(body.as_bytes()).and_then(|()| input.flush()).ok());
    }
}

/// What a program complains, once it is at its end.
fn listen(child: &mut Child) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    if let Some(mut errors) = child.stderr.take() {
        std::thread::spawn(move || {
            let mut text = Vec::new();
            errors.by_ref().take(COMPLAINT).read_to_end(&mut text).ok();
            sender.send(String::from_utf8_lossy(&text).into_owned()).ok();
            // Read on, so that it does not stand still with a full pipe.
            std::io::copy(&mut errors, &mut std::io::sink()).ok();
        });
    }
    receiver
}

fn kill(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if group.is_none_or(|group| kill_process_group(group, Signal::KILL).is_err()) {
        child.kill().ok();
    }
    child.wait().ok();
}

fn judge(status: ExitStatus, complaint: &str) -> Try {
    let said = if complaint.trim().is_empty() { String::new() } else { format!(": {}", brief(complaint)) };
    match (status.code(), status.signal()) {
        (Some(0), _) => Try::Told("exit code 0".to_owned()),
        (Some(NEVER), _) => Try::Never(format!("exit code {NEVER}{said}")),
        (Some(code), _) => Try::Again(format!("exit code {code}{said}"), None),
        (None, Some(signal)) => Try::Again(format!("ended by signal {signal}{said}"), None),
        (None, None) => Try::Again(format!("ended{said}"), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Try {
        let argv = ["/bin/sh", "-c", script].map(str::to_owned);
        run(&argv, &[("PMTOP_STEP", "opened".to_owned())], "{\"a\":1}", limit, &AtomicBool::new(false))
    }

    #[test]
    fn a_program_gets_json_and_variables_and_answers_by_its_exit_code() {
        let ample = Duration::from_secs(20);
        let reads = "test \"$(cat)\" = '{\"a\":1}' && test $PMTOP_STEP = opened";
        assert_eq!(shell(reads, ample), Try::Told("exit code 0".to_owned()));
        let complains = "echo 'no \u{1b}route' >&2; exit 7";
        assert_eq!(shell(complains, ample), Try::Again("exit code 7: no ␛route".to_owned(), None));
        assert_eq!(shell("exit 100", ample), Try::Never("exit code 100".to_owned()));
        assert_eq!(shell("kill -TERM $$", ample), Try::Again("ended by signal 15".to_owned(), None));
        // It closes its input unread.
        assert_eq!(shell("exec <&-; exit 0", ample), Try::Told("exit code 0".to_owned()));
    }

    #[test]
    fn a_program_that_stalls_is_killed_with_what_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("late");
        let script = format!("(sleep 1; touch {}) & sleep 30", file.display());
        let began = Instant::now();
        let Try::Again(why, None) = shell(&script, Duration::from_millis(200)) else { panic!("not killed") };
        assert!(why.contains("longer than 0.2 s"), "{why}");
        assert!(began.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(1300));
        assert!(!file.exists(), "its child lived on");
    }

    #[test]
    fn a_program_that_is_not_there_is_tried_again() {
        let argv = ["/nonexistent/program".to_owned()];
        let tried = run(&argv, &[], "", Duration::from_secs(1), &AtomicBool::new(false));
        assert!(matches!(tried, Try::Again(why, None) if why.contains("/nonexistent/program")));
    }
}

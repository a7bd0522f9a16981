//! How long the tabs of the screen take: asks all questions of one tab together, as the screen does, the first
//! time (from the start of the process) and again. Prints one JSON object. What benches/dashboards.py runs.
//!
//!     cargo run --release --example ask_tabs -- CATALOG TAB RANGE RUNS [FILTER…]
//!     cargo run --release --example ask_tabs -- CATALOG pack

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use pmtop::app::board::{self, PanelState};
use pmtop::catalog::pack;
use pmtop::cli;
use pmtop::config::Config;
use pmtop::dashboard::DASHBOARDS;
use pmtop::query::Engine;
use pmtop::query::filter::Filter;
use pmtop::query::question::{Compare, Question};
use pmtop::query::scope::Scope;
use pmtop::query::time::parse_range;
use pmtop::report;

/// Questions that the screen asks at the same time.
const AT_ONCE: usize = 4;

fn main() -> anyhow::Result<()> {
    let began = Instant::now();
    let mut arguments = std::env::args().skip(1);
    let catalog = PathBuf::from(arguments.next().context("which catalog?")?);
    let engine = cli::engine(&Config { catalog, ..Config::default() })?;
    let tab = arguments.next().context("which tab?")?;
    if tab == "pack" {
        let built = pack::tidy(engine.catalog(), 2, &|| false)?;
        println!("{built} packs built in {} ms", began.elapsed().as_millis());
        return Ok(());
    }
    let time = parse_range(&arguments.next().context("which range?")?)?;
    let runs: usize = arguments.next().context("how many runs?")?.parse()?;
    let filters = arguments.map(|text| Filter::parse(&text)).collect::<Result<Vec<_>, _>>()?;
    let questions = questions(&tab, &Scope::new(time, filters)).context("there is no such tab")?;
    ask(&engine, &questions)?;
    let first = began.elapsed();
    let mut warm = Vec::new();
    for _ in 0..runs {
        let began = Instant::now();
        ask(&engine, &questions)?;
        warm.push(format!("{:.1}", began.elapsed().as_secs_f64() * 1000.0));
    }
    let memory = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = |name: &str| {
        let line = memory.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok()).unwrap_or_default() / 1024
    };
    println!(
        "{{\"tab\":\"{tab}\",\"questions\":{},\"first_ms\":{:.1},\"warm_ms\":[{}],\"rss_mib\":{},\"peak_mib\":{},\"packs_mib\":{}}}",
        questions.len(),
        first.as_secs_f64() * 1000.0,
        warm.join(","),
        kib("VmRSS:"),
        kib("VmHWM:"),
        engine.packs().bytes() >> 20,
    );
    if std::env::var_os("ASK_TABS_EACH").is_some() {
        for question in &questions {
            let began = Instant::now();
            ask(&engine, std::slice::from_ref(question))?;
            eprintln!(
                "{:>8.1} ms {:?} compare {:?}",
                began.elapsed().as_secs_f64() * 1000.0,
                question.report,
                question.compare
            );
        }
    }
    Ok(())
}

/// The questions of a tab, each once.
fn questions(tab: &str, scope: &Scope) -> Option<Vec<Question>> {
    let dashboard = DASHBOARDS.iter().find(|dashboard| dashboard.title.eq_ignore_ascii_case(tab))?;
    let mut out: Vec<Question> = Vec::new();
    for panel in dashboard.panels() {
        for ask in 0..panel.asks.len() {
            let Some(question) = board::question(panel, ask, &PanelState::default(), scope, Compare::Before) else {
                continue;
            };
            if !out.contains(&question) {
                out.push(question);
            }
        }
    }
    Some(out)
}

fn ask(engine: &Arc<Engine>, questions: &[Question]) -> anyhow::Result<()> {
    let permits = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    engine.block_on(async {
        let tasks: Vec<_> = questions
            .iter()
            .map(|question| {
                let (permits, asked) = (Arc::clone(&permits), report::ask(engine, question.clone()));
                async move {
                    let _permit = permits.acquire().await.ok();
                    asked.await
                }
            })
            .collect();
        for answer in futures::future::join_all(tasks).await {
            answer.map_err(|failure| anyhow::anyhow!("{failure}"))?;
        }
        Ok(())
    })
}

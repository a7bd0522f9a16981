//! A hook that is a web address: one POST a happening, over rustls, within a time limit. Redirects are not followed and
//! proxies not used, so what is told goes to the server of the settings or nowhere.

use std::io::Read as _;
use std::time::Duration;

use serde_json::{Value as Json, json};
use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use super::{Try, brief};
use crate::config::hooks::{Hook, Preset, seconds};

/// The header that names the happening.
pub const EVENT_ID: &str = "X-Pmtop-Event-Id";
/// How much of an answer is read.
const ANSWER: u64 = 1000;

/// Posts what is told once.
pub fn post(hook: &Hook, event_id: &str, body: &str) -> Try {
    let again = |why: String| Try::Again(why, None);
    let agent = match agent(hook) {
        Ok(agent) => agent,
        Err(why) => return again(why),
    };
    let mut request = agent.post(&hook.url).header("Content-Type", "application/json").header(EVENT_ID, event_id);
    for (name, value) in &hook.headers {
        request = request.header(name, value);
    }
    if !hook.token_file.as_os_str().is_empty() {
        match std::fs::read_to_string(&hook.token_file) {
            Ok(token) => request = request.header("Authorization", format!("Bearer {}", token.trim())),
            Err(error) => return again(format!("{}: {error}", hook.token_file.display())),
        }
    }
    let text = match hook.preset {
        Preset::Plain => body.to_owned(),
        Preset::Slack => slack(body),
    };
    match request.send(text.as_bytes()) {
        Err(error) => again(brief(&error.to_string())),
        Ok(mut response) => {
            let status = response.status().as_u16();
            let pause = response.headers().get("Retry-After").and_then(|value| value.to_str().ok()?.parse().ok());
            let mut said = Vec::new();
            // The status counts, also where the rest of the answer does not come.
            response.body_mut().as_reader().take(ANSWER).read_to_end(&mut said).ok();
            judge(status, &String::from_utf8_lossy(&said), pause.map(Duration::from_secs))
        }
    }
}

fn judge(status: u16, said: &str, pause: Option<Duration>) -> Try {
    let said = if said.trim().is_empty() { String::new() } else { format!(": {}", brief(said)) };
    match status {
        200..=299 => Try::Told(format!("HTTP {status}{said}")),
        300..=399 => Try::Again(format!("HTTP {status}: redirects are not followed; name the last address"), pause),
        410 => Try::Never(format!("HTTP 410{said}")),
        _ => Try::Again(format!("HTTP {status}{said}"), pause),
    }
}

/// A client for one try: nothing is kept between tries, so a server that was restarted is met like a new one.
fn agent(hook: &Hook) -> Result<Agent, String> {
    let roots = if hook.ca_file.as_os_str().is_empty() {
        RootCerts::WebPki
    } else {
        let wrong = |why: String| format!("{}: {why}", hook.ca_file.display());
        let pem = std::fs::read(&hook.ca_file).map_err(|error| wrong(error.to_string()))?;
        let certificates: Vec<_> = parse_pem(&pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if certificates.is_empty() {
            return Err(wrong("holds no certificate".to_owned()));
        }
        RootCerts::from(certificates)
    };
    Ok(Agent::config_builder()
        .timeout_global(Some(seconds(hook.timeout_seconds)))
        .timeout_connect(Some(seconds(hook.connect_seconds)))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .proxy(None)
        .max_idle_connections(0)
        .user_agent(concat!("pmtop/", env!("CARGO_PKG_VERSION")))
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .build()
        .new_agent())
}

/// `{"text": …}`. `&`, `<` and `>` are written as Slack wants it, so that no text of a log calls a whole channel.
fn slack(body: &str) -> String {
    let told: Json = serde_json::from_str(body).unwrap_or_default();
    let word = |value: Option<&Json>| value.and_then(Json::as_str).unwrap_or_default().to_owned();
    let incident = told.get("incident");
    let mut text = word(told.get("text"));
    let first = incident.and_then(|incident| incident.get("causes")).and_then(|causes| causes.get(0));
    for part in ["cause", "advice"] {
        let line = word(first.and_then(|cause| cause.get(part)));
        if !line.is_empty() {
            text += &format!("\n{line}");
        }
    }
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    // The id is in the body of every preset.
    json!({ "text": text, "event_id": word(told.get("event_id")) }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slack_gets_text_that_calls_nobody() {
        let body = json!({
            "event_id": "a.opened",
            "text": "opened (high): <!channel> & co",
            "incident": { "causes": [{ "cause": "listed at Spamhaus", "advice": "ask for removal" }] },
        });
        let told: Json = serde_json::from_str(&slack(&body.to_string())).unwrap();
        let text = "opened (high): &lt;!channel&gt; &amp; co\nlisted at Spamhaus\nask for removal";
        assert_eq!(told, json!({ "text": text, "event_id": "a.opened" }));
    }

    #[test]
    fn only_a_yes_is_a_yes() {
        assert_eq!(judge(204, "", None), Try::Told("HTTP 204".to_owned()));
        assert!(matches!(judge(302, "", None), Try::Again(why, _) if why.contains("redirects")));
        assert_eq!(judge(500, "no\nroute", None), Try::Again("HTTP 500: no route".to_owned(), None));
        assert!(matches!(judge(401, "", None), Try::Again(..)));
        assert!(matches!(judge(410, "", None), Try::Never(_)));
    }
}

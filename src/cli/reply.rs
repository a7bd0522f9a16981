//! `pmtop reply`: what a reply means, one JSON object a line. It needs no catalog.

use std::io::BufRead as _;

use serde_json::{Map, Value as Json, json};

use super::{run, usage};
use crate::config::Config;
use crate::event::provider::{OTHER, Providers};
use crate::event::status::{smtp_code, smtp_status};
use crate::ingest::derive;
use crate::reply::{Catalogue, ReplyClass, template};

/// What replies are looked up in.
struct Desk {
    catalogue: Catalogue,
    providers: Providers,
    /// Who answered, where it was said.
    provider: Option<String>,
}

/// Explains the replies of the command line, or those of standard input, one a line.
pub(super) fn explain(config: &Config, provider: Option<&str>, texts: &[String]) -> anyhow::Result<u8> {
    let providers = Providers::with_overrides(derive::own_providers(config))?;
    let provider = provider.map(|name| named(&providers, name)).transpose()?;
    let desk = Desk { catalogue: Catalogue::with_entries(config.replies.clone())?, providers, provider };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let written = match replies(texts) {
        Some(replies) => replies.iter().try_for_each(|reply| desk.print(&mut out, reply)),
        None => lines(|line| desk.print(&mut out, line)),
    };
    run::finish(written, &mut out)
}

/// The provider of a name, or of a domain or host.
fn named(providers: &Providers, name: &str) -> anyhow::Result<String> {
    if name.eq_ignore_ascii_case(OTHER) {
        return Ok(OTHER.to_owned());
    }
    if let Some(known) = providers.get(name) {
        return Ok(known.name.clone());
    }
    match providers.provider_of(name, "", name) {
        OTHER => {
            let all: Vec<&str> = providers.all().iter().map(|known| known.name.as_str()).collect();
            Err(usage(format!("no provider is called `{name}`; one of {}, {OTHER}", all.join(", "))))
        }
        found => Ok(found.to_owned()),
    }
}

/// The replies among the words of the command line: whole ones if each holds a blank, else one in several words.
/// `None`: they are on standard input.
fn replies(texts: &[String]) -> Option<Vec<String>> {
    match texts {
        [] => None,
        [dash] if dash == "-" => None,
        texts if texts.iter().all(|text| text.trim().contains(char::is_whitespace)) => Some(texts.to_vec()),
        words => Some(vec![words.join(" ")]),
    }
}

fn lines(mut explain: impl FnMut(&str) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut input = std::io::stdin().lock();
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        explain(String::from_utf8_lossy(&line).trim())?;
        line.clear();
    }
    Ok(())
}

impl Desk {
    fn print(&self, out: &mut dyn std::io::Write, reply: &str) -> anyhow::Result<()> {
        if reply.trim().is_empty() {
            return Ok(());
        }
        serde_json::to_writer(&mut *out, &self.object(reply))?;
        out.write_all(b"\n")?;
        Ok(())
    }

    fn object(&self, reply: &str) -> Map<String, Json> {
        let provider = self.provider.as_deref().unwrap_or_else(|| self.who_said(reply));
        let verdict = self.catalogue.classify(provider, reply, None, "");
        let words = |text: &str| if text.is_empty() { Json::Null } else { json!(text) };
        let cells = [
            ("provider", json!(provider)),
            ("reply_class", json!(verdict.class.map(ReplyClass::as_str))),
            ("scope", json!(verdict.class.map(|_| verdict.scope.as_str()))),
            ("meaning", words(verdict.meaning)),
            ("advice", words(verdict.advice)),
            ("template", json!(template(reply))),
            ("status", json!(smtp_status("", reply))),
            ("code", json!(smtp_code("", reply))),
            ("blocklist", json!(verdict.blocklist)),
            ("listed_ip", json!(verdict.listed_ip)),
        ];
        cells.into_iter().map(|(name, cell)| (name.to_owned(), cell)).collect()
    }

    /// Who answered, by the reply alone: by its signature or a code that is one provider's, else by a host that it
    /// names.
    fn who_said(&self, reply: &str) -> &str {
        let coded = || {
            let rule = self.catalogue.classify(OTHER, reply, None, "").rule?;
            self.catalogue.rule(rule)?.provider.as_deref()
        };
        if let Some(signer) = self.catalogue.signer_of(reply).or_else(coded) {
            // A rule may be bound to a name that is written otherwise in the table.
            return self.providers.get(signer).map_or(signer, |known| known.name.as_str());
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@');
        // What stands in an address is someone's mail domain, and may be our own.
        let hosts = reply.split(|c| !is_name(c)).filter(|word| word.contains('.') && !word.contains('@'));
        hosts.map(|host| self.providers.provider_of(host, "", "")).find(|name| *name != OTHER).unwrap_or(OTHER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desk() -> Desk {
        Desk { catalogue: Catalogue::builtin(), providers: Providers::builtin(), provider: None }
    }

    #[test]
    fn the_keys_come_in_the_order_that_is_documented() {
        let object = desk().object("421-4.7.28 [192.0.2.1] unusual rate of unsolicited mail - gsmtp");
        let keys: Vec<&str> = object.keys().map(String::as_str).collect();
        assert_eq!(keys[..6], ["provider", "reply_class", "scope", "meaning", "advice", "template"]);
        assert_eq!(object["provider"], "Google");
        assert_eq!((&object["status"], &object["code"]), (&json!("4.7.28"), &json!(421)));
        assert_eq!(object["listed_ip"], "192.0.2.1");
    }

    #[test]
    fn a_success_has_no_class() {
        let object = desk().object("250 2.0.0 Ok: queued as 4F1A23C0B12");
        assert!(object["reply_class"].is_null() && object["scope"].is_null() && object["advice"].is_null());
        assert_eq!(object["provider"], OTHER);
        assert!(object["meaning"].is_string());
    }

    #[test]
    fn who_answered_is_told_from_the_words() {
        let desk = desk();
        for (reply, provider) in [
            ("550 5.1.1 user unknown [DM6NAM11FT088.eop-nam11.prod.protection.outlook.com]", "Microsoft"),
            ("421 [TSS04] Messages from 192.0.2.1 temporarily deferred", "Yahoo"),
            ("554 mx-in-01.gmx.net (mxgmx104) Nemesis ESMTP Service not available", "GMX"),
            // The address may be that of the sender.
            ("550 5.1.1 <joe@gmail.com>: user unknown", OTHER),
            ("550 no", OTHER),
        ] {
            assert_eq!(desk.who_said(reply), provider, "{reply}");
        }
    }

    #[test]
    fn words_are_one_reply_and_quoted_texts_are_several() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
        assert_eq!(replies(&words(&["550", "5.1.1", "no such user"])).unwrap(), ["550 5.1.1 no such user"]);
        assert_eq!(replies(&words(&["550 a", "421 b"])).unwrap().len(), 2);
        assert!(replies(&[]).is_none() && replies(&words(&["-"])).is_none());
    }

    #[test]
    fn a_provider_is_known_by_name_domain_and_host() {
        let providers = Providers::builtin();
        for (name, provider) in [("google", "Google"), ("hotmail.com", "Microsoft"), ("other", OTHER)] {
            assert_eq!(named(&providers, name).unwrap(), provider);
        }
        assert!(named(&providers, "Gmial").unwrap_err().to_string().contains("Google"));
    }
}

//! What happened between two looks: incidents that are the same as before, that began, became worse or ended, and how they
//! are written down.

use super::incident::{Happening, Incident, Note, State, Step};
use crate::catalog::incidents::Stored;
use crate::event::Micros;

/// What happened between two states of all incidents. An incident is the same as one that was known when rule and scope
/// are the same and their times overlap; it keeps its name.
pub(super) fn reconcile(
    before: &[Incident],
    mut after: Vec<Incident>,
    clock: Micros,
) -> (Vec<Incident>, Vec<Happening>) {
    let mut happenings = Vec::new();
    let mut seen = hashbrown::HashSet::new();
    let end = |incident: &Incident| incident.closed_at.unwrap_or(i64::MAX);
    for incident in &mut after {
        let same = before.iter().find(|old| {
            old.rule == incident.rule
                && old.scope == incident.scope
                && old.opened_at <= end(incident)
                && incident.opened_at <= end(old)
                && !seen.contains(&old.id)
        });
        let Some(old) = same else {
            happenings.push(Happening::new(Step::Opened, incident));
            if incident.closed_at.is_some() {
                happenings.push(Happening::new(Step::Resolved, incident));
            }
            continue;
        };
        seen.insert(old.id.clone());
        incident.id.clone_from(&old.id);
        incident.notes.clone_from(&old.notes);
        (incident.state, incident.silenced_until) = (old.state, old.silenced_until);
        incident.reopened = old.reopened;
        if old.closed_at.is_some() && incident.closed_at.is_none() {
            // Whoever was told that it is over is told that it is not.
            incident.reopened += 1;
            happenings.push(Happening::new(Step::Opened, incident));
        }
        if incident.severity > old.severity {
            happenings.push(Happening::new(Step::Escalated, incident));
        }
        if old.closed_at.is_none() && incident.closed_at.is_some() {
            happenings.push(Happening::new(Step::Resolved, incident));
        }
    }
    for old in before.iter().filter(|old| !seen.contains(&old.id) && old.closed_at.is_none()) {
        // Later files tell otherwise: whoever was told of it is told that it is over.
        let gone = Incident { closed_at: Some(clock), ..old.clone() };
        happenings.push(Happening::new(Step::Resolved, &gone));
    }
    (after, happenings)
}

/// An incident as it is written down, without what people did about it.
pub(super) fn stored_of(incident: &Incident) -> Stored {
    let bare = Incident { state: State::Open, notes: Vec::new(), silenced_until: None, ..incident.clone() };
    Stored {
        id: incident.id.clone(),
        rule: incident.rule.clone(),
        opened_at: incident.opened_at,
        closed_at: incident.closed_at,
        body: serde_json::to_string(&bare).unwrap_or_default(),
        acknowledged_at: None,
        silenced_until: None,
        notes: Vec::new(),
    }
}

/// An incident with what people did about it; none where another pmtop wrote something else.
pub fn incident_of(stored: &Stored) -> Option<Incident> {
    let mut incident: Incident = serde_json::from_str(&stored.body).ok()?;
    let clock = crate::catalog::clock();
    incident.silenced_until = stored.silenced_until;
    incident.state = State::ALL.into_iter().find(|state| state.as_str() == stored.state(clock)).unwrap_or(State::Open);
    incident.notes = stored.notes.iter().map(|(at, text)| Note { at: *at, text: text.clone() }).collect();
    Some(incident)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::insight::incident::{Evidence, Severity};

    fn incident(closed_at: Option<Micros>) -> Incident {
        Incident {
            id: "a1".to_owned(),
            rule: "ip-block".to_owned(),
            severity: Severity::High,
            state: State::Open,
            opened_at: 100,
            closed_at,
            scope: [("source_ip".to_owned(), "192.0.2.1".to_owned())].into(),
            headline: String::new(),
            value: 0.4,
            baseline: Some(0.0),
            basis: String::new(),
            hits: 40,
            of: 100,
            causes: Vec::new(),
            evidence: Evidence::default(),
            notes: Vec::new(),
            silenced_until: None,
            reopened: 0,
        }
    }

    #[test]
    fn what_goes_on_after_it_had_ended_is_told_again_under_another_event() {
        let mut known = Vec::new();
        let mut told: Vec<(String, State)> = Vec::new();
        for closed_at in [None, Some(200), Some(300), None, Some(400)] {
            let (after, happenings) = reconcile(&known, vec![incident(closed_at)], 1_000);
            told.extend(happenings.into_iter().map(|happening| (happening.event_id, happening.incident.state)));
            known = after;
        }
        let events: Vec<(&str, State)> = told.iter().map(|(id, state)| (id.as_str(), *state)).collect();
        assert_eq!(
            events,
            [
                ("a1.opened", State::Open),
                ("a1.resolved", State::Resolved),
                ("a1.opened.2", State::Open),
                ("a1.resolved.2", State::Resolved),
            ]
        );
    }
}

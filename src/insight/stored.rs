//! An incident out of the database: what rules said of it, with what people did about it.

use super::incident::{Incident, Note, State};
use crate::catalog::incidents::Stored;
use crate::event::Micros;

/// The incident as it is at a time of the clock; none if its text is not ours.
pub fn read(stored: &Stored, at: Micros) -> Option<Incident> {
    let mut incident: Incident = serde_json::from_str(&stored.body).ok()?;
    incident.silenced_until = stored.silenced_until;
    incident.notes = stored.notes.iter().map(|(at, text)| Note { at: *at, text: text.clone() }).collect();
    incident.state = match (incident.closed_at, stored.silenced_until, stored.acknowledged_at) {
        (Some(_), ..) => State::Resolved,
        (None, Some(until), _) if until > at => State::Silenced,
        (None, _, Some(_)) => State::Acknowledged,
        _ => State::Open,
    };
    Some(incident)
}

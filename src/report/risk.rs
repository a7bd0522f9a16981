//! The risk score of a user, sender, job or IP: 0–100, the sum of its terms. Each term is the lower end
//! of a rate's Wilson interval as a share of the rate that is critical, so that few rows weigh little; on top of that everyone is credited with some clean rows.

use crate::query::measures::{Counts, Measure, wilson};

/// One term of the score.
#[derive(Debug, Clone, Copy)]
pub struct Term {
    /// Its column.
    pub name: &'static str,
    /// The points at the critical rate and above.
    pub weight: f64,
    /// The rate that is critical (`reference/product-peers.md` A.5).
    pub critical: f64,
    /// What it means, for `docs/reports.md`.
    pub about: &'static str,
    rate: fn(&Counts) -> (i64, i64),
}

/// Clean rows that everyone is credited with, so that one bad row of one is no proof.
const PRIOR: i64 = 50;

/// The terms; their weights add up to 100.
pub const TERMS: &[Term] = &[
    Term {
        name: "risk_complaints",
        weight: 40.0,
        critical: 0.003,
        about: "complaints over delivered to providers with feedback loops; full at 0.3 %",
        rate: |counts| (counts.get(Measure::Complaints), counts.get(Measure::DeliveredFbl)),
    },
    Term {
        name: "risk_hard",
        weight: 25.0,
        critical: 0.10,
        about: "hard bounces over delivered + bounced; full at 10 %",
        rate: |counts| (counts.get(Measure::Hard), outcomes(counts)),
    },
    Term {
        name: "risk_block",
        weight: 20.0,
        critical: 0.10,
        about: "block bounces over delivered + bounced; full at 10 %",
        rate: |counts| (counts.get(Measure::Block), outcomes(counts)),
    },
    Term {
        name: "risk_throttle",
        weight: 15.0,
        critical: 0.30,
        about: "rate-blocking replies over attempts; full at 30 %",
        rate: |counts| (counts.get(Measure::RbReply), counts.get(Measure::Deferrals) + outcomes(counts)),
    },
];

fn outcomes(counts: &Counts) -> i64 {
    counts.get(Measure::Delivered) + counts.bounced()
}

impl Term {
    /// The points of a row.
    pub fn points(&self, counts: &Counts) -> f64 {
        let (hits, of) = (self.rate)(counts);
        if of == 0 {
            return 0.0;
        }
        wilson(hits, of + PRIOR).map_or(0.0, |(low, _)| self.weight * (low / self.critical).min(1.0))
    }
}

/// The score: the sum of all points.
pub fn score(counts: &Counts) -> f64 {
    TERMS.iter().map(|term| term.points(counts)).sum()
}

/// One digit behind the point.
pub fn round(points: f64) -> f64 {
    (points * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weights_add_up_to_a_hundred() {
        assert!((TERMS.iter().map(|term| term.weight).sum::<f64>() - 100.0).abs() < 1e-9);
    }

    #[test]
    fn one_hard_bounce_of_one_message_is_no_proof() {
        let mut few = Counts::default();
        few.add(1 << Measure::Hard as u16, 1);
        let mut many = Counts::default();
        many.add(1 << Measure::Hard as u16, 500);
        many.add(1 << Measure::Delivered as u16, 500);
        let hard = TERMS.iter().find(|term| term.name == "risk_hard").unwrap();
        assert!(hard.points(&many) > 24.9);
        assert!(hard.points(&few) < 1.5);
        let mut clean = Counts::default();
        clean.add(1 << Measure::Delivered as u16, 1000);
        assert!(TERMS.iter().all(|term| term.points(&clean) == 0.0));
    }
}

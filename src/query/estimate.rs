//! How long an answer may take, told before it is there: what must be read, times what reading cost when it
//! was measured. Nothing is opened but packs, so this takes milliseconds.

use super::Engine;
use super::field::Field;
use super::planner::Plan;
use super::question::{Bucket, Failure, Question, Report};

/// What a question will cost, roughly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Estimate {
    /// Rows that must be looked at one by one; 0 where packs answer.
    pub rows: u64,
    /// Bytes of the files that hold them.
    pub bytes: u64,
    /// Milliseconds until the answer.
    pub ms: u64,
}

/// Nanoseconds a row on two cores: 60 (replies) to 150 (comparing recipients in any case) were measured.
const ROW_NS: u64 = 150;
/// Milliseconds that an answer from packs takes at most, by measurement at 50 million events.
const PACKS_MS: u64 = 300;

impl Engine {
    /// What a question will cost.
    pub fn estimate(&self, question: &Question) -> Result<Estimate, Failure> {
        let snapshot = self.snapshot()?;
        let now = self.now(&snapshot)?;
        let resolved = self.resolve(&snapshot, &question.scope, now)?;
        let (group, bucket) = match question.report {
            Report::Operations { by, bucket } => (by, bucket),
            Report::Latency { by } | Report::Domains { by } | Report::Risk { by } => (Some(by), None),
            Report::Heatmap { by, bucket, .. } => (Some(by), Some(bucket)),
            _ => (None, None),
        };
        let bucket = bucket.and_then(|bucket| match bucket {
            Bucket::Fixed(width) => Some(width.micros()),
            Bucket::Auto => None,
        });
        let plan = Plan { snapshot: &snapshot, resolved: &resolved, group, bucket };
        let rest = match question.report {
            Report::Files => return Ok(Estimate::default()),
            Report::Events => vec![(resolved.from, resolved.until)],
            _ => self.without_packs(&plan),
        };
        // Bloom filters leave next to nothing of these.
        let exact = |field: Field| {
            question.scope.filters().iter().any(|filter| {
                filter.field == field && !filter.exclude && !filter.has_wildcard() && !filter.value.is_empty()
            })
        };
        let (by_id, by_recipient) = (exact(Field::MessageId), exact(Field::Recipient));
        let mut estimate = Estimate { ms: PACKS_MS, ..Estimate::default() };
        for (from, until) in rest {
            let part = resolved.between(from, until);
            for segment in snapshot.segments.iter().filter(|segment| part.admits(segment) && part.overlaps(segment)) {
                let skipped = by_id || by_recipient && resolved.lower.contains(&segment.path);
                if !skipped {
                    estimate.rows += segment.rows.unsigned_abs();
                    estimate.bytes += segment.bytes.unsigned_abs();
                }
            }
        }
        estimate.ms += estimate.rows * ROW_NS / 1_000_000;
        Ok(estimate)
    }
}

//! When to draw: after a change, not more often than the eye needs, never while nothing changes.

use std::time::{Duration, Instant};

/// The shortest time between two frames.
const FRAME: Duration = Duration::from_millis(16);
/// The same after a key: its frame must not wait for one that showed something else (SPEC §10).
const KEY: Duration = Duration::from_millis(5);
/// The shortest time before a frame that only shows progress: four a second (SPEC §13).
const PROGRESS: Duration = Duration::from_millis(250);

/// How soon a change must be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Haste {
    /// A key was pressed.
    Key,
    /// With the next frame.
    Soon,
    /// It is only progress.
    Progress,
}

/// When the next frame is due.
#[derive(Debug, Clone, Default)]
pub(super) struct Frames {
    last: Option<Instant>,
    due: Option<Instant>,
}

impl Frames {
    /// Something changed.
    pub(super) fn want(&mut self, now: Instant, haste: Haste) {
        let apart = match haste {
            Haste::Key => KEY,
            Haste::Soon => FRAME,
            Haste::Progress => PROGRESS,
        };
        let at = self.last.map_or(now, |last| (last + apart).max(now));
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// When to draw, if at all.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// A frame was drawn.
    pub(super) fn drawn(&mut self, now: Instant) {
        self.last = Some(now);
        self.due = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_after_a_pause_is_drawn_at_once_and_a_burst_in_one_frame() {
        let now = Instant::now();
        let mut frames = Frames::default();
        frames.want(now, Haste::Soon);
        assert_eq!(frames.due(), Some(now));
        frames.drawn(now);
        assert_eq!(frames.due(), None);
        frames.want(now + Duration::from_millis(3), Haste::Soon);
        frames.want(now + Duration::from_millis(9), Haste::Soon);
        assert_eq!(frames.due(), Some(now + FRAME));
    }

    #[test]
    fn progress_waits_and_a_key_does_not_wait_for_it() {
        let now = Instant::now();
        let mut frames = Frames::default();
        frames.drawn(now);
        frames.want(now + Duration::from_millis(20), Haste::Progress);
        assert_eq!(frames.due(), Some(now + PROGRESS));
        frames.want(now + Duration::from_millis(30), Haste::Key);
        assert_eq!(frames.due(), Some(now + Duration::from_millis(30)));
    }
}

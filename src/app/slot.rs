//! One question and its latest answer. Tickets decide whose answer is shown: a late one is dropped.

use std::sync::Arc;

use crate::query::estimate::Estimate;
use crate::query::question::{Answer, Failure, Question};

/// A place for answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SlotId {
    /// An ask of a panel.
    Panel {
        /// The tab's position.
        tab: usize,
        /// The panel's position in its tab.
        panel: usize,
        /// The ask's position in its panel.
        ask: usize,
    },
    /// A page of the Explorer.
    Page(usize),
    /// The file table behind the trust bar.
    Trust,
}

/// One asking: the answer that carries it back is shown only while it is the slot's latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// Where the answer belongs.
    pub slot: SlotId,
    /// Which asking it was.
    pub serial: u64,
}

/// What a slot shows.
#[derive(Debug, Clone, Default)]
pub enum Shown {
    /// Never answered.
    #[default]
    Nothing,
    /// The latest answer, and what it answered.
    Answer(Arc<Answer>, Question),
    /// The latest asking failed.
    Failed(Failure, Question),
}

/// A question in flight.
#[derive(Debug, Clone)]
struct Asked {
    ticket: Ticket,
    question: Question,
    /// Ticks since it was asked; one tick is about 100 ms.
    waited: u32,
    /// The commit that was made meanwhile: ask once more if the answer does not know it.
    newer: Option<u64>,
    /// What it will cost, once that is known.
    estimate: Option<Estimate>,
}

/// One question and its latest answer.
#[derive(Debug, Clone, Default)]
pub struct Slot {
    asked: Option<Asked>,
    shown: Shown,
    /// The catalog's commit number that was known when the question was last asked.
    generation: Option<u64>,
}

/// What became of an answer that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It was overtaken and is dropped.
    Dropped,
    /// It is shown.
    Shown,
    /// It is shown, and the question must be asked once more.
    Again,
}

impl Slot {
    /// Whether the question must be asked: it differs from what is shown or in flight, or the catalog
    /// moved on.
    pub fn wants(&mut self, question: &Question, generation: u64) -> bool {
        if let Some(asked) = &mut self.asked
            && asked.question == *question
        {
            // Asking again now would cancel work that is nearly done; on a busy catalog a slow
            // question would never end.
            if self.generation != Some(generation) {
                asked.newer = Some(generation);
            }
            return false;
        }
        match &self.shown {
            // A failure is asked again by the next commit or by the user, not in a circle.
            Shown::Answer(_, answered) | Shown::Failed(_, answered) if answered == question && self.asked.is_none() => {
                let known = self.shown_answer().map_or(0, |answer| answer.generation);
                self.generation != Some(generation) && known < generation
            }
            _ => true,
        }
    }

    /// Notes that the question goes out under a ticket.
    pub fn ask(&mut self, ticket: Ticket, question: Question, generation: u64) {
        self.asked = Some(Asked { ticket, question, waited: 0, newer: None, estimate: None });
        self.generation = Some(generation);
    }

    /// Takes an answer in, if it is the one waited for.
    pub fn answer(&mut self, ticket: Ticket, answer: Result<Arc<Answer>, Failure>) -> Arrival {
        let Some(asked) = self.asked.take_if(|asked| asked.ticket == ticket) else {
            return Arrival::Dropped;
        };
        let known = answer.as_ref().map_or(0, |answer| answer.generation);
        self.shown = match answer {
            Ok(answer) => Shown::Answer(answer, asked.question),
            Err(failure) => Shown::Failed(failure, asked.question),
        };
        if asked.newer.is_some_and(|newer| newer > known) { Arrival::Again } else { Arrival::Shown }
    }

    /// Takes in what the question in flight will cost.
    pub fn estimated(&mut self, ticket: Ticket, estimate: Estimate) {
        if let Some(asked) = self.asked.as_mut().filter(|asked| asked.ticket == ticket) {
            asked.estimate = Some(estimate);
        }
    }

    /// What the question in flight will cost, where rows must be looked at.
    pub fn estimate(&self) -> Option<Estimate> {
        self.asked.as_ref()?.estimate.filter(|estimate| estimate.rows > 0)
    }

    /// Stops waiting; true if something was in flight.
    pub fn forget(&mut self) -> bool {
        self.generation = None;
        self.asked.take().is_some()
    }

    /// Time passed; true while something is in flight.
    pub fn tick(&mut self) -> bool {
        if let Some(asked) = &mut self.asked {
            asked.waited = asked.waited.saturating_add(1);
        }
        self.asked.is_some()
    }

    /// What is shown.
    pub const fn shown(&self) -> &Shown {
        &self.shown
    }

    /// The answer shown, if there is one.
    pub const fn shown_answer(&self) -> Option<&Arc<Answer>> {
        match &self.shown {
            Shown::Answer(answer, _) => Some(answer),
            _ => None,
        }
    }

    /// The question that the shown answer answered.
    pub const fn shown_question(&self) -> Option<&Question> {
        match &self.shown {
            Shown::Answer(_, question) => Some(question),
            _ => None,
        }
    }

    /// Whether something is in flight.
    pub const fn is_asking(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether something is in flight for longer than about 100 ms.
    pub fn is_slow(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.waited > 0)
    }

    /// Seconds since the question in flight was asked, by ticks of about 100 ms.
    pub fn waited_seconds(&self) -> f64 {
        self.asked.as_ref().map_or(0.0, |asked| f64::from(asked.waited) / 10.0)
    }

    /// Whether what is shown answers another question than the one in flight, or takes its time.
    pub fn is_stale(&self) -> bool {
        match (&self.asked, &self.shown) {
            (Some(asked), Shown::Answer(_, question)) => asked.waited > 0 || asked.question != *question,
            (Some(_), Shown::Failed(..)) => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::question::Report;
    use crate::query::scope::Scope;

    const SLOT: SlotId = SlotId::Trust;

    fn ticket(serial: u64) -> Ticket {
        Ticket { slot: SLOT, serial }
    }

    #[test]
    fn an_overtaken_answer_is_dropped() {
        let mut slot = Slot::default();
        slot.ask(ticket(1), Question::new(Report::Totals, Scope::default()), 1);
        slot.ask(ticket(2), Question::new(Report::Replies, Scope::default()), 1);
        assert_eq!(slot.answer(ticket(1), Ok(Arc::default())), Arrival::Dropped);
        assert!(slot.shown_answer().is_none());
        assert_eq!(slot.answer(ticket(2), Ok(Arc::default())), Arrival::Shown);
        assert_eq!(slot.answer(ticket(2), Ok(Arc::default())), Arrival::Dropped);
    }

    #[test]
    fn a_commit_during_a_slow_question_does_not_cancel_it() {
        let mut slot = Slot::default();
        let question = Question::new(Report::Totals, Scope::default());
        assert!(slot.wants(&question, 1));
        slot.ask(ticket(1), question.clone(), 1);
        assert!(!slot.wants(&question, 2));
        assert_eq!(slot.answer(ticket(1), Ok(Arc::default())), Arrival::Again);
    }

    #[test]
    fn a_failed_question_is_not_asked_in_a_circle() {
        let mut slot = Slot::default();
        let question = Question::new(Report::Totals, Scope::default());
        slot.ask(ticket(1), question.clone(), 1);
        let failure = Failure { what: String::new(), why: String::new(), hint: String::new(), ..Failure::default() };
        assert_eq!(slot.answer(ticket(1), Err(failure)), Arrival::Shown);
        assert!(!slot.wants(&question, 1));
        assert!(slot.wants(&question, 2));
    }

    #[test]
    fn a_question_that_is_answered_is_not_asked_twice() {
        let mut slot = Slot::default();
        let question = Question::new(Report::Totals, Scope::default());
        slot.ask(ticket(1), question.clone(), 1);
        assert_eq!(slot.answer(ticket(1), Ok(Arc::default())), Arrival::Shown);
        assert!(!slot.wants(&question, 1));
        assert!(slot.wants(&question, 2));
    }
}

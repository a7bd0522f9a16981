//! Questions in flight: one for each slot, a newer one cancels the older, and the answers of this
//! commit are remembered so that going back costs nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;

use crate::app::effect::Urgency;
use crate::app::input::Input;
use crate::app::slot::{SlotId, Ticket};
use crate::query::question::{Answer, Failure, Question, Report};
use crate::runtime::backend::Backend;

/// Questions asked at the same time; the others wait, so that one tab does not starve itself.
const AT_ONCE: usize = 4;
/// After this long it is worth knowing what a question will cost.
const SLOW: Duration = Duration::from_millis(500);
/// Answers remembered.
const REMEMBERED: usize = 32;

/// Questions in flight.
pub(super) struct Asks {
    backend: Arc<dyn Backend>,
    answers: UnboundedSender<Input>,
    running: HashMap<SlotId, (Ticket, Question, AbortHandle)>,
    permits: Arc<Semaphore>,
    /// Estimates are made one at a time.
    estimating: Arc<Semaphore>,
    memory: VecDeque<(Question, Arc<Answer>)>,
    generation: u64,
}

impl Asks {
    /// Answers come back through a channel.
    pub(super) fn new(backend: Arc<dyn Backend>, answers: UnboundedSender<Input>) -> Self {
        Self {
            backend,
            answers,
            running: HashMap::new(),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            estimating: Arc::new(Semaphore::new(1)),
            memory: VecDeque::new(),
            generation: 0,
        }
    }

    /// Asks; what the slot asked before is cancelled.
    pub(super) fn ask(&mut self, ticket: Ticket, question: Question, urgency: Urgency) {
        self.forget(ticket.slot);
        if urgency == Urgency::Now
            && let Some((_, answer)) = self.memory.iter().find(|(known, _)| *known == question)
        {
            // Nobody listens only when the screen is gone.
            self.answers.send(Input::Answered(ticket, Ok(Arc::clone(answer)))).ok();
            return;
        }
        let future = self.backend.ask(question.clone());
        let permits = Arc::clone(&self.permits);
        let answering = async move {
            let _permit = permits.acquire().await.ok()?;
            Some(future.await.map(Arc::new))
        };
        let (backend, answers) = (Arc::clone(&self.backend), self.answers.clone());
        let (estimating, same) = (Arc::clone(&self.estimating), question.clone());
        // Ends with the question: what is answered or cancelled needs no estimate.
        let hinting = async move {
            tokio::time::sleep(SLOW).await;
            let Ok(_alone) = estimating.acquire().await else { return };
            if let Some(estimate) = backend.estimate(same).await {
                answers.send(Input::Estimated(ticket, estimate)).ok();
            }
        };
        let answers = self.answers.clone();
        let asked = tokio::spawn(async move {
            tokio::pin!(answering);
            let answer = tokio::select! {
                biased;
                answer = &mut answering => answer,
                () = hinting => answering.await,
            };
            if let Some(answer) = answer {
                answers.send(Input::Answered(ticket, answer)).ok();
            }
        });
        let (abort, answers) = (asked.abort_handle(), self.answers.clone());
        tokio::spawn(async move {
            if asked.await.is_err_and(|error| error.is_panic()) {
                let failure = Failure {
                    what: "the question was not answered".to_owned(),
                    why: "it ran into a defect of pmtop".to_owned(),
                    hint: "the message is printed when pmtop ends; please report it".to_owned(),
                    ..Failure::default()
                };
                answers.send(Input::Answered(ticket, Err(failure))).ok();
            }
        });
        self.running.insert(ticket.slot, (ticket, question, abort));
    }

    /// Cancels what a slot asked.
    pub(super) fn forget(&mut self, slot: SlotId) {
        if let Some((_, _, running)) = self.running.remove(&slot) {
            running.abort();
        }
    }

    /// An answer passed by on its way to the screen.
    pub(super) fn answered(&mut self, ticket: Ticket, answer: &Result<Arc<Answer>, Failure>) {
        if self.running.get(&ticket.slot).is_none_or(|(running, ..)| *running != ticket) {
            return;
        }
        let Some((_, question, _)) = self.running.remove(&ticket.slot) else { return };
        // The state of files changes without a commit.
        let keeps = question.report != Report::Files;
        if let (true, Ok(answer)) = (keeps, answer)
            && answer.generation == self.generation
        {
            self.memory.retain(|(known, _)| *known != question);
            self.memory.push_back((question, Arc::clone(answer)));
            if self.memory.len() > REMEMBERED {
                self.memory.pop_front();
            }
        }
    }

    /// The catalog moved on.
    pub(super) fn moved_on(&mut self, generation: u64) {
        if generation != self.generation {
            self.generation = generation;
            self.memory.clear();
        }
    }

    /// Forgets every answer.
    pub(super) fn forget_answers(&mut self) {
        self.memory.clear();
    }

    /// Cancels everything and forgets every answer: none of them may be seen any more.
    pub(super) fn forget_all(&mut self) {
        self.stop();
        self.memory.clear();
    }

    /// Cancels everything.
    pub(super) fn stop(&mut self) {
        for (_, (_, _, running)) in self.running.drain() {
            running.abort();
        }
    }
}

//! What an SMTP reply means: its class, what it is held against, what to do next, and its template. Asked once for each
//! distinct reply while a file is taken in, and again for the words when a screen explains it.

mod catalogue;
mod normalise;
mod template;

pub use catalogue::{Catalogue, Entry, Error, Scope, Verdict};
pub use template::{first_ip, template};

pub use crate::event::bounce::ReplyClass;

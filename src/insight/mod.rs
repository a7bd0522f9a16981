//! What the numbers mean: rules find incidents in log time, explanations find what they have in common.

mod ask;
pub mod baseline;
pub mod causes;
mod consequence;
pub mod evidence;
pub mod explain;
pub mod flat;
pub mod incident;
pub mod judge;
pub mod postmaster;
pub mod reconcile;
pub mod rule;
pub mod segment;
pub mod series;
mod sightings;
pub mod signal;
mod slowdown;
pub mod watch;
mod words;

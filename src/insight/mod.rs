//! What the numbers mean: rules find incidents in log time, explanations find what they have in common.

pub mod evidence;
pub mod incident;
pub mod postmaster;
pub mod stored;

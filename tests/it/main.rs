//! The one integration binary: a file for each promise.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::string_slice,
    missing_docs,
    missing_debug_implementations,
    reason = "a test stops by panicking, and is documented by its name"
)]

mod answers;
mod architecture;
mod beside;
mod charts;
mod doctor;
mod documents;
mod evidence;
mod explain;
mod formats;
mod fsck;
mod fuzz;
mod hands;
mod hooks;
mod incidents;
mod ingest;
mod journey;
mod journeys;
mod large;
mod live;
mod model;
mod mutants;
mod packs;
mod prom;
mod replies;
mod reports;
mod risk;
mod scenarios;
mod screen_incidents;
mod screens;
mod support;
mod together;
mod upkeep;
mod versions;

//! The one integration binary: a file for each promise.

mod ingest;
mod journeys;
mod screens;
mod support;

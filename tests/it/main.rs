//! The one integration binary: a file for each promise.

mod journeys;
mod screens;

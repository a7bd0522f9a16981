//! pmtop: what happened to the mail that PowerMTA sent. The modules, in the order in which data meets
//! them: a file in the inbox becomes events in the catalog, questions get answers from it, and the
//! screen, the reports and the exports show them.

pub mod text;

pub mod config;
pub mod event;
pub mod reply;

pub mod catalog;
pub mod inbox;
pub mod ingest;

pub mod dashboard;
pub mod export;
pub mod journey;
pub mod query;
pub mod report;

pub mod insight;

pub mod hook;
pub mod prom;

pub mod app;
pub mod runtime;
pub mod ui;

pub mod cli;
pub mod demo;
pub mod demo_day;
pub mod screen;

//! Every test but the simulator's own: one binary, linked once.

mod backoff;
mod config;
mod document;
mod fetch;
mod interpret;
mod layers;
mod migrations;
mod pace;
mod process;
mod query;
mod receive;
mod region;
mod secrets;
mod signature;
mod store;
mod support;
mod webhook;

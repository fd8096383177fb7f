//! Every test but the simulator's own: one binary, linked once.

mod backoff;
mod bounds;
mod calls;
mod config;
mod document;
mod event;
mod fetch;
mod forward;
mod front;
mod gaps;
mod interpret;
mod layers;
mod look;
mod migrations;
mod order;
mod pace;
mod process;
mod query;
mod receive;
mod region;
mod scarce;
mod secrets;
mod signature;
mod store;
mod support;
mod webhook;

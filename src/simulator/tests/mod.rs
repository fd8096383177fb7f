//! The simulator as its users meet it: over HTTP.

mod api;
mod calls;
mod events;
mod families;
mod faults;
mod playing;
mod regions;
mod rtc;
mod scripts;
mod support;
mod tokens;

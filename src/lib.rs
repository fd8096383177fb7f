//! conversationd remembers Vonage conversations.
//!
//! A call's Conversation exists at Vonage only while the call runs. The daemon hears of each call through the
//! application's webhooks, fetches the Conversation at once and again as it changes, and keeps every version.
//!
//! # The map
//!
//! Two logs are all that is true: [webhooks as received](domain::arrival) and [versions of a
//! conversation](domain::snapshot). Everything else is [interpreted](flow::interpret) from them and may be
//! thrown away. Modules, in the order data flows through them:
//!
//! | layer | module | |
//! |---|---|---|
//! | 0 | [`domain`] | what exists; pure |
//! | 1 | [`vonage`] | everything that knows Vonage's shapes or address |
//! | 1 | [`store`] | everything that knows SQL |
//! | 1 | [`upstream`] | the application behind this daemon, where webhooks are passed on to one |
//! | 1 | [`lifecycle`] | soft and hard stop, tasks, systemd |
//! | 1 | [`simulator`] | a Vonage on loopback, for the demo and the tests; it knows `domain` only, so that a misreading of Vonage cannot agree with itself |
//! | 2 | [`flow`] | the steps: receive, forward, fetch, interpret; heartbeat, reconcile for what was missed; and Vonage's face for past calls |
//! | 3 | [`http`] | everything that knows status codes |
//! | 4 | [`config`], [`telemetry`], [`daemon`] | settings, logs, and the wiring |
//! | 5 | [`cli`], `main` | commands |
//!
//! A module imports from layers below its own only; `tests/it/layers.rs` holds them to it. Each part has a
//! `Settings` or `Parts` of its own that [`daemon`] fills, and an error enum of its own; nothing is
//! re-exported here, so a type has one path.
//!
//! # A webhook arrives
//!
//! [`http::webhooks`] reads it, with bounds on size and time. [`flow::receive`] asks
//! [`vonage::signature`] whether to believe it and [`vonage::webhook`] which conversation it speaks of, and
//! hands it to [`store::Store::append`]. The store's [writer](store::Writer) takes everything that has queued
//! up, appends it to the log in one transaction, commits once, and answers all; the
//! [runtime's threads](daemon::runtime) stand back behind its own. Only then does the reply go
//! out, and a [wake-up](flow::Wake) without data. A redelivery meets the unique digest of the first and is
//! counted there. What is not believed, or cannot be read or stored, [`flow::refusals`] tells the log of;
//! where it was plainly ours, [`flow::rejection_gaps`] makes it a gap.
//!
//! The listeners answer before the store is open: it is in a [slot](store::slot) until then, and where it is locked or
//! its disk is full, calls get their NCCO and are stored later. What waits for the store is bounded in bytes, and goes on
//! in a task of its own, whether or not the sender still waits.
//!
//! Where another application decides, [`flow::forward`] passes the stored webhook on to it and judges its reply;
//! [`http::webhooks`] passes that back, or the daemon's own in its place. What a call was given is kept behind the
//! reply, with [`store::Store::reply`].
//!
//! An arrival owes a look by being in the log. Behind the reply, whoever works next posts the log to the
//! conversations' accounts: which arrivals speak of one, and when its look is due. Whatever is read by
//! conversation counts what is not posted yet, too.
//!
//! # A fetch fails
//!
//! [`flow::fetch`] waits for a turn in the [`vonage::pace`] as urgent as the most urgent look that is due,
//! leases that look and has [`vonage::client`] take it. The client tells *how* it
//! failed: not known yet, token refused, unreachable. A pure function decides from that, and from whether the
//! call is over, when to try again; the store writes finding and decision in one transaction. After a crash
//! the row is simply still due.
//!
//! What fails for more than one conversation is noticed by [`flow::outage`], work on the store that fails for a while by
//! [`flow::stall`], and a clock that was set by [`flow::clock_steps`]; the [heartbeat](flow::heartbeat) makes gaps of
//! them. A rate limit holds back [one API of one application](vonage::hold).
//!
//! # A reader asks
//!
//! [`http::query::routes`] lists every path with the scope that opens it; [`http::auth`] decides by a token, or by
//! the session that a browser began with one. [`http::query`] reads derived rows through the store's read-only
//! connections, which never wait for the writer. The rows were made by [`flow::derive`], which interprets each
//! conversation whose revision has moved; what of somebody else's text may be shown or searched,
//! [`domain::disclosure`] decides there, for every source. Whether a conversation is over may depend on the moment, so that is
//! decided when it is asked.
//!
//! The pages of a browser, [`http`]'s `page`, show those same answers.
//!
//! A client that was written for Vonage is answered by [`flow::face`] with stored documents, in the
//! [shape](vonage::shape) it asks for.
//!
//! Those who [follow along](http::query::stream) read what was [added](store::Store::changes) behind their own place
//! in the logs, whenever [something was written](store::Store::written).

pub mod cli;
pub mod config;
pub mod daemon;
pub mod domain;
pub mod flow;
pub mod http;
pub mod lifecycle;
pub mod simulator;
pub mod store;
pub mod telemetry;
pub mod upstream;
pub mod vonage;

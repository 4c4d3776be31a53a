//! The binary as a user runs it.

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod cli;
mod copy;
mod export;
mod kill;
mod resume;
mod verify;

//! The binary as a user runs it.

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod backup;
mod bad_input;
mod cache;
mod cli;
mod concurrency;
mod concurrent;
mod copy;
mod ctimes;
mod delete;
mod delete_mounts;
mod desk;
mod dry_run;
mod elsewhere;
mod existing;
mod exit_codes;
mod export;
mod fat32;
mod file_systems;
mod filters;
mod format;
mod guards;
mod hard_links;
mod hostile;
mod identity;
mod immutable;
mod inject;
mod inodes;
mod interchange;
mod kill;
mod limits;
mod matrix;
mod media;
mod medium;
mod metadata;
mod neighbour;
mod owner;
mod pages;
mod planted;
mod power_cuts;
mod racy;
mod readme;
mod rebuild;
mod record;
mod remove_source;
mod repair;
mod resume;
mod retries;
mod rot;
mod same_file;
mod same_name;
mod situations;
mod slow;
mod source_rot;
mod sparse;
mod special;
mod status;
mod symlinks;
mod totals;
mod verify;
mod wait;

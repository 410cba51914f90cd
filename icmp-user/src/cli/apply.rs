//! `apply`: another policy for an instance that is attached, in one swap.

use super::{
    DONE, Global,
    output::{Out, Sink, paragraph},
    profiles::{Present, write_difference},
    start::{say_absent, say_without_shares},
    status::open,
};
use crate::policy::{CheckedPolicy, Compiled, load};
use icmp_common::abi::PolicyInfo;
use std::{io::Write as _, path::PathBuf, process::ExitCode};

/// What to put in force.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The policy file
    file: PathBuf,
}

/// Puts it in force.
pub fn run(args: &Args, global: &Global, out: &mut Out) -> anyhow::Result<ExitCode> {
    let policy = load(&args.file)?;
    let pins = global.pins();
    open(&pins)?;
    let lock = pins.lock()?;
    // Opened under the lock: another may just have detached it.
    let mut maps = open(&pins)?;
    let before = maps.policy_info()?;
    let present = Present::of(&before, maps.policy_text()?);
    let compiled = maps.apply(&policy)?;
    let without_shares = maps.without_shares()?;
    drop(lock);

    write_summary(out, &before, &policy, &compiled)?;
    match present {
        Some(present) => {
            write_difference(out, "the former policy", &present.policy, &policy)?;
        }
        None => paragraph(
            out,
            "what the former policy said isn't kept, so what differs from it isn't known; `icmpgate \
             profiles` shows the difference from the profile",
        )?,
    }
    out.flush()?;
    say_absent(&compiled);
    say_without_shares(&without_shares);
    Ok(ExitCode::from(DONE))
}

fn write_summary(
    out: &mut dyn Sink,
    before: &PolicyInfo,
    policy: &CheckedPolicy,
    compiled: &Compiled,
) -> std::io::Result<()> {
    let after = &compiled.info;
    let kept = compiled.limits.iter().filter(|l| l.kept).count();
    let observed = if after.observe == 0 { "" } else { ", observed only" };
    let force = format!(
        "{} is in force: generation {} (was {}), profile {}{observed}",
        policy.name,
        after.generation,
        before.generation,
        policy.profile.name(),
    );
    paragraph(out, &force)?;
    let sizes = format!(
        "rules {} (was {}), prefixes {} (was {}), limits that kept their state {kept}, new ones {}",
        after.rules,
        before.rules,
        after.prefixes,
        before.prefixes,
        compiled.limits.len() - kept,
    );
    paragraph(out, &sizes)
}

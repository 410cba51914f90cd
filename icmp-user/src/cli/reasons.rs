//! `reasons`: the one table of why a packet has its verdict.

use super::{
    DONE,
    output::{Out, columns},
};
use icmp_common::verdict::TABLE;
use serde::Serialize;
use std::process::ExitCode;

/// How to show it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Line {
    reason: &'static str,
    verdict: &'static str,
    row: &'static str,
    meaning: &'static str,
    /// Whether `[checks]` can name it.
    check: bool,
}

/// Prints the table.
pub fn run(args: &Args, out: &mut Out) -> anyhow::Result<ExitCode> {
    if args.json {
        let lines: Vec<Line> = TABLE
            .iter()
            .map(|e| Line {
                reason: e.label,
                verdict: e.verdict.label(),
                row: e.row,
                meaning: e.meaning,
                check: e.reason.is_fault(),
            })
            .collect();
        out.json(&lines)?;
    } else {
        let head = ["REASON", "VERDICT", "MEANING"].map(str::to_owned);
        let lines =
            TABLE.iter().map(|e| [e.label, e.verdict.label(), e.meaning].map(str::to_owned));
        let rows: Vec<_> = std::iter::once(head).chain(lines).collect();
        columns(out, [false; 3], &rows)?;
    }
    Ok(ExitCode::from(DONE))
}

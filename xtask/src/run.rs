//! `cargo xtask run`: build it and see it work. With `--iface` it is the real thing on a real
//! interface; without, a story in two network namespaces of its own (`xtask/rig/src/bin/story`).

use std::{ffi::OsString, process::Command};

use anyhow::{Result, bail};

use crate::{
    build, rig,
    setup::{self, Want},
};

/// Build and run icmpgate: on --iface, else on two namespaces of its own with a story sent through
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run on this interface; may be given again
    #[arg(long = "iface", value_name = "IF")]
    ifaces: Vec<String>,
    /// Without --iface: leave the two namespaces up when the story is told
    #[arg(long, conflicts_with = "ifaces")]
    keep: bool,
    /// With --iface: any other flag of `icmpgate run`, such as --policy FILE
    #[arg(value_name = "FLAGS", trailing_var_arg = true, allow_hyphen_values = true)]
    flags: Vec<OsString>,
}

/// Builds it and becomes it, or becomes the story.
pub(crate) fn run(args: Args) -> Result<()> {
    rig::needs_root("run")?;
    // Behind a flag that isn't ours, --iface is one of those that are handed on.
    let iface = |word: &OsString| word.to_string_lossy().starts_with("--iface");
    if !args.ifaces.is_empty() || args.flags.iter().any(iface) {
        let road = setup::ensure(Want { bpffs: true, ..Want::default() })?;
        build::object(road)?;
        let program = build::program(true)?;
        let mut cmd = Command::new(program);
        cmd.arg("run").args(args.ifaces.iter().flat_map(|name| ["--iface", name]));
        return rig::exec(cmd.args(args.flags));
    }
    if let Some(flag) = args.flags.first() {
        bail!("{} needs --iface: without one, run has only --keep", flag.display());
    }
    build::object(setup::ensure(Want { story: true, bpffs: true, ..Want::default() })?)?;
    let program = build::program(true)?;
    let mut words: Vec<OsString> = vec!["--program".into(), program.into()];
    words.extend(args.keep.then(|| "--keep".into()));
    rig::become_program("story", words)
}

//! The programs of `xtask/rig`, which need the library of icmpgate: xtask builds that and the
//! toolchain for it, so it can't be linked with it itself.
//!
//! A program takes this process's place, so that a signal to the command is a signal to it.

use std::{
    ffi::OsStr,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Error, Result, bail};

use crate::cmd;

/// Builds one of the programs, which embeds the object that [`crate::build::object`] left, and
/// becomes it.
pub(crate) fn become_program(
    name: &str,
    args: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Result<()> {
    exec(Command::new(program(name)?).args(args))
}

/// Builds one of the programs, likewise.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let mut cargo = cmd::cargo();
    cargo.args(["build", "--quiet", "--release", "--package", "icmpgate-rig", "--bin", name]);
    cmd::run(&mut cargo)?;
    Ok(cmd::target_dir().join("release").join(name))
}

/// Becomes this program.
pub(crate) fn exec(cmd: &mut Command) -> Result<()> {
    let error = cmd.exec();
    let program = Path::new(cmd.get_program()).display();
    Err(Error::new(error).context(format!("can't start {program}")))
}

/// That this process is root, or how it would be: one line, before anything is built.
pub(crate) fn needs_root(command: &str) -> Result<()> {
    if !cmd::is_root() {
        bail!("{command} needs root: sudo -E env PATH=\"$PATH\" cargo xtask {command}");
    }
    Ok(())
}

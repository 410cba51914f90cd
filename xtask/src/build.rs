//! `cargo xtask build`: the kernel object, then the program that carries it.
//!
//! The object goes to `target/bpf/icmpgate.o`, where the build script of `icmp-user` looks for it.
//! It is replaced only by another, so that the host side isn't rebuilt for nothing.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    cmd,
    setup::{self, Want},
    toolchain::{self, Road},
};

/// The binary target of the kernel side.
const KERNEL_BIN: &str = "icmpgate-ebpf";

/// Build the kernel object and the program that carries it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Build with optimisation: the default, accepted for habit's sake
    #[arg(long, conflicts_with = "dev")]
    release: bool,
    /// Build the program without optimisation (the kernel object always has it)
    #[arg(long)]
    dev: bool,
    /// Build the kernel object only, not the program that embeds it
    #[arg(long)]
    no_embed: bool,
}

/// Builds both, or the object alone, and prints where they are.
pub(crate) fn run(args: Args) -> Result<()> {
    let road = setup::ensure(Want::default())?;
    let object = object(road)?;
    let size = fs::metadata(&object)?.len();
    if args.no_embed {
        println!("built {} ({size} octets)", shown(&object));
        return Ok(());
    }
    let program = program(!args.dev)?;
    println!("built {} ({size} octets) and {}", shown(&object), shown(&program));
    Ok(())
}

/// Builds the kernel object and returns its path.
pub(crate) fn object(road: Road) -> Result<PathBuf> {
    let mut cmd = road.cargo();
    cmd.args(["build", "--package", "icmp-ebpf"]);
    cmd::run(toolchain::for_bpf(&mut cmd)?)?;

    let folder = cmd::root().join("target/bpf-build").join(toolchain::TARGET);
    let built = folder.join("release").join(KERNEL_BIN);
    let object = cmd::root().join("target/bpf/icmpgate.o");
    replace_if_other(&built, &object)?;
    Ok(object)
}

/// Builds the program, which embeds the object that [`object`] left, and returns its path.
pub(crate) fn program(release: bool) -> Result<PathBuf> {
    let mut cmd = cmd::cargo();
    cmd.args(["build", "--package", "icmpgate"]);
    if release {
        cmd.arg("--release");
    }
    cmd::run(&mut cmd)?;
    Ok(cmd::target_dir().join(if release { "release" } else { "debug" }).join("icmpgate"))
}

/// Copies `from` over `to` unless they hold the same. The name always leads to a whole file.
fn replace_if_other(from: &Path, to: &Path) -> Result<bool> {
    let new = fs::read(from).with_context(|| format!("no {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(false);
    }
    let written = (|| {
        fs::create_dir_all(to.parent().unwrap_or(to))?;
        // A name of its own for each writer, in the same folder, so that the rename is atomic.
        let part = to.with_extension(format!("part{}", std::process::id()));
        fs::write(&part, new)?;
        fs::rename(part, to)
    })();
    written.with_context(|| format!("can't write {}", to.display()))?;
    Ok(true)
}

/// The path as seen from the workspace's root.
fn shown(path: &Path) -> String {
    path.strip_prefix(cmd::root()).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_is_replaced_only_by_another() {
        let folder = std::env::temp_dir().join(format!("xtask-build-{}", std::process::id()));
        let (from, to) = (folder.join("from"), folder.join("a/b/to.o"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(&from, "1").unwrap();
        assert!(replace_if_other(&from, &to).unwrap());
        assert!(!replace_if_other(&from, &to).unwrap());
        fs::write(&from, "2").unwrap();
        assert!(replace_if_other(&from, &to).unwrap());
        assert_eq!(fs::read(&to).unwrap(), b"2");
        assert!(replace_if_other(&folder.join("none"), &to).is_err());
        fs::remove_dir_all(&folder).unwrap();
    }
}

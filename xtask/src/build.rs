//! `cargo xtask build`: the kernel object, then the program that carries it.
//!
//! The object goes to `target/bpf/icmpgate.o`, where the build script of `icmp-user` looks for it.
//! It is replaced only by another, so that the host side isn't rebuilt for nothing.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use object::{
    build::elf::{Builder, SectionData},
    elf::SHT_STRTAB,
};

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
    let elf = fs::read(&built).with_context(|| format!("no {}", built.display()))?;
    let elf = without_debug(&elf).with_context(|| format!("can't strip {}", built.display()))?;
    replace_if_other(&elf, &object)?;
    Ok(object)
}

/// Without the sections that only debuggers read, which are four fifths of it and would be part of the program.
/// BTF, which the kernel reads, is kept, and with it the lines of the source that the verifier's log names.
fn without_debug(elf: &[u8]) -> Result<Vec<u8>> {
    let mut elf = Builder::read(elf)?;
    for section in &mut elf.sections {
        let name = section.name.strip_prefix(b".rel").unwrap_or(&section.name);
        section.delete = name.starts_with(b".debug_");
    }
    elf.delete_orphans();
    // LLVM keeps the names of sections among those of symbols; what writes here wants them apart.
    let names = elf.sections.add();
    names.name = b".shstrtab"[..].into();
    names.sh_type = SHT_STRTAB;
    names.data = SectionData::SectionString;
    let mut stripped = Vec::new();
    elf.write(&mut stripped)?;
    Ok(stripped)
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

/// Writes `new` to `to` unless it holds just that. The name always leads to a whole file.
fn replace_if_other(new: &[u8], to: &Path) -> Result<bool> {
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
        let to = folder.join("a/b/to.o");
        assert!(replace_if_other(b"1", &to).unwrap());
        assert!(!replace_if_other(b"1", &to).unwrap());
        assert!(replace_if_other(b"2", &to).unwrap());
        assert_eq!(fs::read(&to).unwrap(), b"2");
        assert!(replace_if_other(b"3", &to.join("below-a-file")).is_err());
        fs::remove_dir_all(&folder).unwrap();
    }
}

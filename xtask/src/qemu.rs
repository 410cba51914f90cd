//! The qemu that `cargo xtask vm` boots its machines with: the one in `PATH`, else Debian's, unpacked
//! to `target/tools/qemu` and run from there.
//!
//! It isn't installed, because apt may have to remove something for it: on a machine with a newer
//! qemu-utils (from backports, as cloud images have it) the qemu-system-x86 of the same release
//! conflicts with that, and removing packages is not ours to do.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{cmd, setup};

/// The Debian package that brings it.
pub(crate) const PACKAGE: &str = "qemu-system-x86";

const PROGRAM: &str = "qemu-system-x86_64";

/// Where Debian's packages have shared libraries.
const LIBRARIES: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];

/// Where they have what qemu puts into a machine: firmware and option ROMs.
const FIRMWARE: [&str; 2] = ["usr/share/qemu", "usr/share/seabios"];

/// qemu, ready for the arguments that make a machine; nothing where there is none yet.
pub(crate) fn command() -> Option<Command> {
    if let Some(program) = cmd::which(PROGRAM) {
        return Some(Command::new(program));
    }
    let folder = folder();
    folder.join("usr/bin").join(PROGRAM).is_file().then(|| unpacked(&folder))
}

fn folder() -> PathBuf {
    setup::tools_dir().join("qemu")
}

/// The qemu that is unpacked in this folder. Its libraries come before the machine's: it was built
/// with these.
fn unpacked(folder: &Path) -> Command {
    let mut cmd = Command::new(folder.join("usr/bin").join(PROGRAM));
    let set = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let set = env::split_paths(&set).filter(|path| !path.as_os_str().is_empty());
    let libraries = LIBRARIES.iter().map(|path| folder.join(path)).chain(set);
    // A path with a colon can't be one of several; qemu then says which library it misses.
    cmd.env("LD_LIBRARY_PATH", env::join_paths(libraries).unwrap_or_default());
    // What it loads while it runs, its software emulation among them.
    cmd.env("QEMU_MODULE_DIR", folder.join("usr/lib/x86_64-linux-gnu/qemu"));
    for path in FIRMWARE {
        cmd.arg("-L").arg(folder.join(path));
    }
    cmd
}

/// Unpacks Debian's, with every package that it needs and that isn't installed here. None of them
/// is left out: the program is linked to all of those libraries, if only for devices that our
/// machines don't have.
pub(crate) fn unpack() -> Result<()> {
    let plan = setup::apt_plan([PACKAGE])?;
    let packages = additions(&plan);
    if !packages.contains(&PACKAGE) {
        bail!("apt would not install {PACKAGE}, though {PROGRAM} is not in PATH");
    }
    eprintln!("setup: will download and unpack, not install: {}", packages.join(" "));
    // Beside it, so that a folder of that name is whole.
    let work = setup::tools_dir().join("part-qemu");
    if work.exists() {
        fs::remove_dir_all(&work)?;
    }
    fs::create_dir_all(&work)?;
    setup::apt_download(&packages, &work)?;
    cmd::output(unpacked(&work).arg("--version")).context("the unpacked qemu doesn't run")?;
    let folder = folder();
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::rename(&work, &folder).with_context(|| format!("can't make {}", folder.display()))
}

/// The packages that apt's simulation would install.
fn additions(plan: &str) -> Vec<&str> {
    plan.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_unpacked_is_read_from_apts_plan() {
        let plan = "The following packages will be REMOVED:\n  qemu-utils\n\
                    Remv qemu-utils [1:10.0.2+ds-2+deb13u1~bpo12+1]\n\
                    Inst libfdt1 (1.6.1-4+b1 Debian:12.15/oldstable [amd64])\n\
                    Inst libnl-3-200 [3.6] (3.7.0-0.2+b1 Debian:12.15/oldstable [amd64])\n\
                    Inst qemu-system-x86 (1:7.2+dfsg-7 Debian:12.15/oldstable [amd64])\n\
                    Conf libfdt1 (1.6.1-4+b1 Debian:12.15/oldstable [amd64])\n";
        assert_eq!(additions(plan), ["libfdt1", "libnl-3-200", "qemu-system-x86"]);
        assert!(additions("Conf Inst (1)\n").is_empty());
    }

    #[test]
    fn an_unpacked_qemu_finds_its_own_files() {
        let shown = cmd::shown(&unpacked(Path::new("/t")));
        let set = "LD_LIBRARY_PATH=/t/usr/lib/x86_64-linux-gnu:/t/lib/x86_64-linux-gnu";
        assert!(shown.starts_with(set), "{shown}");
        let end = "/t/usr/bin/qemu-system-x86_64 -L /t/usr/share/qemu -L /t/usr/share/seabios";
        assert!(shown.ends_with(end), "{shown}");
    }
}

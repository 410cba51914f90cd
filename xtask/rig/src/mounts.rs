//! A mount namespace beside a network namespace: in it /sys shows that network, and /sys/fs/bpf is empty.
//!
//! So a setting of an interface is a file, and a tool that pins at a fixed path finds nobody else's pins and
//! leaves none behind: all of it goes with the last process or descriptor that has the namespace.

use crate::{apart, netns::Namespace};
use anyhow::{Context as _, Result};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, setns, unshare},
};
use std::{fs::File, os::unix::process::CommandExt as _, process::Command};

/// A mount namespace.
pub struct Mounts {
    file: File,
}

impl Mounts {
    /// Makes one beside this network namespace.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn beside(network: &Namespace) -> Result<Self> {
        let file = network.run(|| {
            unshare(CloneFlags::CLONE_NEWNS).context("can't make a mount namespace")?;
            // What is mounted from here on stays here.
            let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
            for (filesystem, at) in [("sysfs", "/sys"), ("bpf", "/sys/fs/bpf")] {
                let none = (MsFlags::empty(), None::<&str>);
                mount(Some(filesystem), at, Some(filesystem), none.0, none.1)
                    .with_context(|| format!("can't mount {at}"))?;
            }
            Ok(File::open("/proc/thread-self/ns/mnt")?)
        })?;
        Ok(Self { file })
    }

    /// Another hold on it.
    ///
    /// # Errors
    /// Where no descriptor is left.
    pub fn try_clone(&self) -> Result<Self> {
        Ok(Self { file: self.file.try_clone()? })
    }

    /// Calls this in a thread whose files are these.
    ///
    /// # Errors
    /// Where it can't be entered, and those of `what`.
    pub fn run<T: Send>(&self, what: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        apart::run(|| {
            // Its root and current folder are the other threads', until it has its own.
            unshare(CloneFlags::CLONE_FS)?;
            setns(&self.file, CloneFlags::CLONE_NEWNS).context("can't enter the mounts")?;
            what()
        })
    }

    /// Has this command's files be these.
    ///
    /// # Errors
    /// Where no descriptor is left.
    pub fn inside(&self, command: &mut Command) -> Result<()> {
        let file = self.file.try_clone()?;
        let enter = move || Ok(setns(&file, CloneFlags::CLONE_NEWNS)?);
        // SAFETY: between fork and exec there is one system call, on a descriptor that is open.
        unsafe { command.pre_exec(enter) };
        Ok(())
    }
}

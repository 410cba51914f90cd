//! The pin directory: where an instance is.
//!
//! ```text
//! /sys/fs/bpf/icmpgate/            the lock is on the directory itself
//!     POLICY, ZONES_V4, ...        maps that all interfaces share
//!     text-7                       the text of the policy in force, where it is a file's, by generation
//!     iface-eth0/                  one folder an interface
//!         COUNTERS, ...            its own maps
//!         program, link            what is attached, of what arrives
//!         egress-link              likewise, of what is sent
//! ```
//!
//! bpffs keeps names with a dot to itself, and interfaces may have one (`eth0.100`): it is written
//! `%2e`, and the percent sign `%25`.

use super::{Error, netns};
use nix::{
    fcntl::{Flock, FlockArg},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// Where an instance is pinned where nothing else is said.
pub const DEFAULT_PIN_DIR: &str = "/sys/fs/bpf/icmpgate";

const PREFIX: &str = "iface-";

/// A pin directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinDir {
    root: PathBuf,
}

/// The right to change an instance; given back when dropped, or when the process ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its drop")] Flock<File>);

impl PinDir {
    /// The directory at this path, which need not exist.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Makes the directory.
    ///
    /// # Errors
    /// [`Error::NoBpffs`] where it would not be on a BPF filesystem, or [`Error::HiddenBpffs`].
    pub fn create(&self) -> Result<(), Error> {
        if !self.is_on_bpffs() {
            return Err(self.hidden().unwrap_or(Error::NoBpffs { path: self.root.clone() }));
        }
        make(&self.root)
    }

    fn is_on_bpffs(&self) -> bool {
        let existing = self.root.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/"));
        statfs(existing).is_ok_and(|s| s.filesystem_type() == BPF_FS_MAGIC)
    }

    /// Why what may be here can't be seen, where that is known.
    fn hidden(&self) -> Option<Error> {
        if !self.root.starts_with("/sys") || self.is_on_bpffs() {
            return None;
        }
        Some(Error::HiddenBpffs { path: self.root.clone(), namespace: netns::entered()? })
    }

    /// Makes the folder of an interface.
    pub(super) fn create_interface(&self, interface: &str) -> Result<(), Error> {
        make(&self.interface(interface))
    }

    /// Whether an instance is there.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.map(icmp_common::abi::name::POLICY).exists()
    }

    /// That an instance is there.
    ///
    /// # Errors
    /// [`Error::NoInstance`] where there is none, or [`Error::HiddenBpffs`].
    pub fn require(&self) -> Result<(), Error> {
        if self.exists() {
            return Ok(());
        }
        Err(self.hidden().unwrap_or(Error::NoInstance { path: self.root.clone() }))
    }

    /// Takes the right to change what is here. One at a time has it.
    ///
    /// # Errors
    /// [`Error::Locked`] where another has it for longer than a second.
    pub fn lock(&self) -> Result<Lock, Error> {
        let open = || File::open(&self.root);
        let mut file = open().map_err(Error::io(format!("opening {}", self.root.display())))?;
        for _ in 0..100 {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(Lock(lock)),
                Err((back, nix::errno::Errno::EWOULDBLOCK)) => file = back,
                Err((_, errno)) => {
                    return Err(Error::Io {
                        what: format!("locking {}", self.root.display()),
                        source: io::Error::from(errno),
                    });
                }
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        Err(Error::Locked { path: self.root.clone() })
    }

    /// Takes it on oneself to look after an interface: to attach it again where it comes back, and
    /// to detach it in the end. Given back like the lock, and gone with the interface's folder.
    ///
    /// # Errors
    /// [`Error::Claimed`] where another process does already.
    pub fn claim(&self, interface: &str) -> Result<Lock, Error> {
        let folder = self.interface(interface);
        let tried = || Error::io(format!("opening {}", folder.display()));
        let file = File::open(&folder).map_err(tried())?;
        Flock::lock(file, FlockArg::LockExclusiveNonblock).map(Lock).map_err(|(_, errno)| {
            match errno {
                nix::errno::Errno::EWOULDBLOCK => {
                    Error::Claimed { name: interface.to_owned(), path: self.root.clone() }
                }
                errno => tried()(io::Error::from(errno)),
            }
        })
    }

    /// Whether a process looks after an interface.
    #[must_use]
    pub fn is_claimed(&self, interface: &str) -> bool {
        File::open(self.interface(interface)).is_ok_and(|file| {
            let shared = Flock::lock(file, FlockArg::LockSharedNonblock);
            matches!(shared, Err((_, nix::errno::Errno::EWOULDBLOCK)))
        })
    }

    /// Where a shared map is.
    #[must_use]
    pub fn map(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn interface(&self, interface: &str) -> PathBuf {
        self.root.join(format!("{PREFIX}{}", encode(interface)))
    }

    /// Where a map of an interface is.
    #[must_use]
    pub fn interface_map(&self, interface: &str, name: &str) -> PathBuf {
        self.interface(interface).join(name)
    }

    /// Where the program of an interface is.
    #[must_use]
    pub fn program(&self, interface: &str) -> PathBuf {
        self.interface(interface).join("program")
    }

    /// Where the link of an interface is.
    #[must_use]
    pub fn link(&self, interface: &str) -> PathBuf {
        self.interface(interface).join("link")
    }

    /// Where the link of what is sent on an interface is.
    #[must_use]
    pub fn egress_link(&self, interface: &str) -> PathBuf {
        self.interface(interface).join("egress-link")
    }

    /// The interfaces that have a folder here, sorted.
    #[must_use]
    pub fn interfaces(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.root)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| decode(entry.file_name().to_str()?.strip_prefix(PREFIX)?))
            .collect();
        names.sort();
        names
    }

    /// Gives the folder of an interface another name. Who has a claim on it keeps it.
    pub(super) fn rename_interface(&self, old: &str, new: &str) -> Result<(), Error> {
        let (old, new) = (self.interface(old), self.interface(new));
        let tried = format!("renaming {} to {}", old.display(), new.display());
        fs::rename(old, new).map_err(Error::io(tried))
    }

    /// Removes the folder of an interface and what is pinned in it.
    pub(super) fn remove_interface(&self, interface: &str) -> Result<(), Error> {
        remove(&self.interface(interface))
    }

    /// Removes everything: the instance is gone, and its counters with it.
    ///
    /// # Errors
    /// Where a pin can't be removed.
    pub fn remove(&self) -> Result<(), Error> {
        for interface in self.interfaces() {
            self.remove_interface(&interface)?;
        }
        remove(&self.root)
    }
}

fn make(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(Error::io(format!("making {}", path.display())))
}

fn remove(folder: &Path) -> Result<(), Error> {
    let tried = || Error::io(format!("removing {}", folder.display()));
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(tried())?,
    };
    for entry in entries {
        fs::remove_file(entry.map_err(tried())?.path()).map_err(tried())?;
    }
    fs::remove_dir(folder).map_err(tried())
}

fn encode(interface: &str) -> String {
    interface.replace('%', "%25").replace('.', "%2e")
}

fn decode(name: &str) -> Option<String> {
    let decoded = name.replace("%2e", ".").replace("%25", "%");
    (encode(&decoded) == name).then_some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_dots_and_percents_come_back() {
        for name in ["eth0", "eth0.100", "a%b", "%2e", "..", "wan%25", "a.b.c"] {
            let encoded = encode(name);
            assert!(!encoded.contains('.'), "{encoded}");
            assert_eq!(decode(&encoded).as_deref(), Some(name));
        }
    }

    #[test]
    fn a_directory_off_bpffs_is_refused() {
        let pins = PinDir::new("/proc/icmpgate");
        assert!(matches!(pins.create(), Err(Error::NoBpffs { .. })));
        assert!(matches!(pins.require(), Err(Error::NoInstance { .. })));
    }
}

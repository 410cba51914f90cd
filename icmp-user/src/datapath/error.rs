//! What can go wrong between here and the kernel: each with what to try next.

use super::PinDir;
use std::path::PathBuf;

/// A failure of the datapath.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The binary has no kernel object in it.
    #[error(
        "this icmpgate was built without its kernel program; run `cargo xtask build`, then use target/release/icmpgate"
    )]
    NotBuilt,
    /// Capabilities lack.
    #[error("missing {missing}; run as root, or grant the program {missing}")]
    Privilege {
        /// Their names.
        missing: String,
    },
    /// The pin directory isn't on a BPF filesystem.
    #[error("{} is not on a BPF filesystem; mount one with `mount -t bpf bpf /sys/fs/bpf`, or choose another with --pin-dir", path.display())]
    NoBpffs {
        /// The directory.
        path: PathBuf,
    },
    /// Nor is there one, since `ip netns exec` hides it.
    #[error("{} is not on a BPF filesystem here: `ip netns exec` mounts /sys anew, without what is mounted below it; use `nsenter --net=/run/netns/{namespace} icmpgate ...` in place of `ip netns exec {namespace} icmpgate ...`", path.display())]
    HiddenBpffs {
        /// The directory.
        path: PathBuf,
        /// The name of the network namespace.
        namespace: String,
    },
    /// Nothing is pinned there.
    #[error("no icmpgate is attached with pin directory {}; attach one with `icmpgate run --iface IF`, or name another with --pin-dir", path.display())]
    NoInstance {
        /// The directory.
        path: PathBuf,
    },
    /// Another writer holds the lock.
    #[error("another icmpgate is changing {}; try again when it is done", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The pinned maps are of another version.
    #[error("the maps in {} have schema {found}, and this icmpgate has {expected}; detach with the version that made them, then run this one", path.display())]
    Schema {
        /// The directory.
        path: PathBuf,
        /// What was found.
        found: u32,
        /// What is needed.
        expected: u32,
    },
    /// A pin isn't there, or can't be opened.
    #[error("the map {map} of {} can't be opened ({error}{}); what is pinned there is not whole: `icmpgate detach` clears it away, then run again", path.display(), source_of(.error))]
    Unreadable {
        /// The map.
        map: &'static str,
        /// The pin directory.
        path: PathBuf,
        /// What aya says.
        error: aya::maps::MapError,
    },
    /// There is no such interface.
    #[error("there is no interface {name:?}; `ip link` lists them")]
    NoInterface {
        /// Its name.
        name: String,
    },
    /// The interface has no Ethernet header.
    #[error(
        "{name} has no Ethernet header (its link type is {link_type}); icmpgate reads Ethernet frames only"
    )]
    NotEthernet {
        /// Its name.
        name: String,
        /// Its ARPHRD number.
        link_type: u16,
    },
    /// Another XDP program is there.
    #[error(
        "{name} already has an XDP program: {program}; icmpgate does not take its place; end the program that attached it, or remove it with `ip link set dev {name} xdp off`"
    )]
    Foreign {
        /// The interface.
        name: String,
        /// What is known of the program.
        program: String,
    },
    /// The driver has no native XDP.
    #[error(
        "the driver of {name} does not take XDP programs ({source}); use --mode auto or --mode generic"
    )]
    NoNative {
        /// The interface.
        name: String,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The interface isn't attached.
    #[error("{name} is not attached in {}; {}", path.display(), attached_of(.attached))]
    NotAttached {
        /// The interface.
        name: String,
        /// The pin directory.
        path: PathBuf,
        /// What else is.
        attached: Vec<String>,
    },
    /// The pinned link of that name is alive on another interface.
    #[error("the {name} of {} is attached in another network namespace, or is called otherwise by now; use another --pin-dir, or free it with `icmpgate detach --iface {name}`", path.display())]
    Elsewhere {
        /// The interface.
        name: String,
        /// The pin directory.
        path: PathBuf,
    },
    /// The interface has a name under which another is pinned.
    #[error("{old} is called {new} now, and {} has something pinned for a {new} already; free one of them with `icmpgate detach --iface {new}` or `icmpgate detach --iface {old}`", path.display())]
    NameTaken {
        /// The name that it is pinned under.
        old: String,
        /// The name that it has.
        new: String,
        /// The pin directory.
        path: PathBuf,
    },
    /// A daemon looks after the interface.
    #[error("another `icmpgate run` looks after {name} in {}; stop that one first, or use `icmpgate apply` to change its policy", path.display())]
    Claimed {
        /// The interface.
        name: String,
        /// The pin directory.
        path: PathBuf,
    },
    /// No more interfaces fit.
    #[error("one instance holds {most} interfaces, and all are taken; use another --pin-dir")]
    TooManyInterfaces {
        /// How many.
        most: usize,
    },
    /// The policy doesn't fit the maps.
    #[error(transparent)]
    Compile(#[from] crate::policy::CompileError),
    /// The kernel refused the program.
    #[error("the kernel refused the program {program}: {message}")]
    Verifier {
        /// The program.
        program: String,
        /// The end of what the verifier said.
        message: String,
    },
    /// A map of the object isn't there.
    #[error("the kernel object has no {kind} named {name}; rebuild with `cargo xtask build`")]
    Missing {
        /// Map or program.
        kind: &'static str,
        /// Its name.
        name: &'static str,
    },
    /// The kernel's test run doesn't take the frame.
    #[error("the kernel's test run does not take a frame of {octets} octets")]
    NotRunnable {
        /// Its length.
        octets: usize,
    },
    /// Loading failed.
    #[error("loading the kernel object: {0}")]
    Load(#[from] aya::EbpfError),
    /// A program operation failed.
    #[error("{error}{}", source_of(.error))]
    Program {
        /// What aya says.
        #[from]
        error: aya::programs::ProgramError,
    },
    /// A link operation failed.
    #[error("{error}{}", source_of(.error))]
    Link {
        /// What aya says.
        #[from]
        error: aya::programs::links::LinkError,
    },
    /// A map operation failed.
    #[error("{error}{}", source_of(.error))]
    Map {
        /// What aya says.
        #[from]
        error: aya::maps::MapError,
    },
    /// Pinning failed.
    #[error("{error}{}", source_of(.error))]
    Pin {
        /// What aya says.
        #[from]
        error: aya::pin::PinError,
    },
    /// Asking the kernel by netlink failed.
    #[error("netlink: {0}")]
    Netlink(#[from] rtnetlink::Error),
    /// Anything else that the system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What was said.
        source: std::io::Error,
    },
}

impl Error {
    pub(super) fn not_attached(pins: &PinDir, name: &str) -> Self {
        let (path, mut attached) = (pins.path().to_owned(), pins.interfaces());
        attached.retain(|other| other != name);
        Self::NotAttached { name: name.to_owned(), path, attached }
    }

    /// An I/O failure, with what was tried.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// What is attached, at the end of a sentence about what isn't.
fn attached_of(names: &[String]) -> String {
    match names {
        [] => "nothing is".to_owned(),
        [one] => format!("{one} is"),
        names => format!("{} are", names.join(", ")),
    }
}

/// aya's errors name their cause as source only: without it "`bpf_link_create` failed" is all.
fn source_of(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let mut at = error.source();
    while let Some(source) = at {
        let next = source.to_string();
        if !text.contains(&next) && !error.to_string().contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        at = source.source();
    }
    text
}

/// What the kernel answered to what a program tried.
pub(super) fn errno(error: &aya::programs::ProgramError) -> Option<i32> {
    let mut at: Option<&dyn std::error::Error> = Some(error);
    while let Some(e) = at {
        if let Some(code) =
            e.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error)
        {
            return Some(code);
        }
        if let Some(syscall) = e.downcast_ref::<aya::sys::SyscallError>() {
            return syscall.io_error.raw_os_error();
        }
        at = e.source();
    }
    match error {
        aya::programs::ProgramError::SyscallError(e) => e.io_error.raw_os_error(),
        _ => None,
    }
}

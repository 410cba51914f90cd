//! The stage of the story, and of the benches of user space and of floods: two namespaces, a veth pair between them, a folder
//! for files and a place for pins. Whatever becomes of them, dropping the stage takes all of it away, unless it
//! is kept.
//!
//! Only a SIGKILL leaves something behind; since every name has the number of its process, the next
//! story finds what is nobody's any more.

use crate::netns::{self, Namespace};
use anyhow::{Context as _, Result};
use icmpgate::datapath::PinDir;
use std::{
    env, fs,
    net::{Ipv4Addr, Ipv6Addr},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process,
};

/// What names begin with, while the story lives.
const PREFIX: &str = "icmpgate-story-";
/// What they begin with where they are kept.
const KEPT: &str = "icmpgate-kept-";
const BPFFS: &str = "/sys/fs/bpf";

/// The interface that is protected.
pub const GATE: &str = "gate0";
/// The one that everything is sent from.
pub const PEER: &str = "peer0";
/// Their addresses.
pub const GATE_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// Likewise.
pub const GATE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
/// Likewise.
pub const PEER_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// Likewise.
pub const PEER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
/// The peer's address in the zone `crowd`.
pub const CROWD: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
/// An address that the peer would forward to.
pub const BEYOND: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 9);
/// Their hardware addresses.
pub const GATE_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// Likewise.
pub const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// The stage.
pub struct Stage {
    /// What is protected.
    pub gate: Namespace,
    /// Where everything comes from.
    pub peer: Namespace,
    /// The pin directory of the instance.
    pub pins: PinDir,
    /// Where the policy and the log are.
    pub folder: PathBuf,
    kept: bool,
}

impl Stage {
    /// Sets it up. `keep` gives it a name that no later story clears away.
    ///
    /// # Errors
    /// Where something can't be made; what was made until then is taken away.
    pub fn new(keep: bool) -> Result<Self> {
        Self::set_up(&format!("{}{}", if keep { KEPT } else { PREFIX }, process::id()))
    }

    /// Sets up one of several, which stand beside each other and don't know of each other.
    ///
    /// # Errors
    /// As [`Stage::new`].
    pub fn beside_others(number: usize) -> Result<Self> {
        Self::set_up(&format!("{PREFIX}{}-{number}", process::id()))
    }

    fn set_up(name: &str) -> Result<Self> {
        let stage = Self::named(name);
        // From here on there is something to take away, whatever fails.
        let made = fs::DirBuilder::new().mode(0o700).create(&stage.folder);
        made.with_context(|| format!("can't make {}", stage.folder.display()))?;
        stage.build()?;
        Ok(stage)
    }

    fn named(name: &str) -> Self {
        Self {
            gate: Namespace::new(format!("{name}-gate")),
            peer: Namespace::new(format!("{name}-peer")),
            pins: PinDir::new(Path::new(BPFFS).join(name)),
            folder: env::temp_dir().join(name),
            kept: false,
        }
    }

    fn build(&self) -> Result<()> {
        let Self { gate, peer, .. } = self;
        gate.create()?;
        peer.create()?;
        for namespace in [gate, peer] {
            // What would only make the story wait, or speak of other things.
            namespace.sysctl("ipv6/conf/default/accept_dad", "0")?;
            namespace.sysctl("ipv6/conf/default/router_solicitations", "0")?;
            // Linux's own limits of errors come before those of the program. That in total is the whole
            // machine's in older kernels, and stays as it is.
            namespace.sysctl("ipv4/icmp_ratelimit", "0")?;
            for total in ["icmp_msgs_per_sec", "icmp_msgs_burst"] {
                let _ = namespace.sysctl(&format!("ipv4/{total}"), "1000000");
            }
            namespace.ip("link set lo up")?;
        }
        let (gate_mac, peer_mac) = (mac(GATE_MAC), mac(PEER_MAC));
        gate.ip(&format!(
            "link add {GATE} address {gate_mac} type veth peer name {PEER} address {peer_mac} \
             netns {}",
            peer.name()
        ))?;
        // The peer forwards, so that a packet can run out of hops at it.
        peer.sysctl("ipv4/ip_forward", "1")?;
        peer.sysctl("ipv4/conf/all/send_redirects", "0")?;
        peer.sysctl(&format!("ipv4/conf/{PEER}/send_redirects"), "0")?;
        gate.ip(&format!("address add {GATE_V4}/24 dev {GATE}"))?;
        gate.ip(&format!("address add {GATE_V6}/64 dev {GATE}"))?;
        peer.ip(&format!("address add {PEER_V4}/24 dev {PEER}"))?;
        peer.ip(&format!("address add {CROWD}/24 dev {PEER}"))?;
        peer.ip(&format!("address add {PEER_V6}/64 dev {PEER}"))?;
        gate.ip(&format!("link set {GATE} up"))?;
        peer.ip(&format!("link set {PEER} up"))?;
        peer.ip(&format!("route add {BEYOND}/32 dev {PEER}"))?;
        gate.ip(&format!("route add default via {PEER_V4}"))
    }

    /// Leaves everything as it is when the story ends.
    pub fn keep(&mut self) {
        self.kept = true;
    }

    fn remove(&self) -> Result<()> {
        // All of it is tried, and the first that fails is told.
        let folder = if self.folder.exists() { fs::remove_dir_all(&self.folder) } else { Ok(()) };
        let all = [
            self.gate.remove(),
            self.peer.remove(),
            self.pins.remove().map_err(Into::into),
            folder.map_err(Into::into),
        ];
        all.into_iter().collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = self.remove()
        {
            eprintln!("something is left behind: {error:#}");
        }
    }
}

fn mac(octets: [u8; 6]) -> String {
    octets.map(|octet| format!("{octet:02x}")).join(":")
}

/// Takes away what stories left that were killed, and returns how many there were.
pub fn clear_leftovers() -> usize {
    let files = |folder: &Path| -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    };
    let names = [netns::names(), files(Path::new(BPFFS)), files(&env::temp_dir())].concat();
    let mut dead: Vec<(u32, &str)> = names.iter().filter_map(|name| stage_of(name)).collect();
    dead.sort_unstable();
    dead.dedup();
    dead.retain(|(number, _)| !is_story(*number));
    for (_, stage) in &dead {
        drop(Stage::named(stage));
    }
    dead.len()
}

/// The stage that a name belongs to, and the number of the process that gave it.
fn stage_of(name: &str) -> Option<(u32, &str)> {
    let stage = name.strip_suffix("-gate").or(name.strip_suffix("-peer")).unwrap_or(name);
    let rest = stage.strip_prefix(PREFIX)?;
    let (process, number) = rest.split_once('-').unwrap_or((rest, "0"));
    number.parse::<usize>().ok()?;
    Some((process.parse().ok()?, stage))
}

/// Whether a story, or a bench, runs under this number: another may have it by now.
fn is_story(number: u32) -> bool {
    number != process::id()
        && fs::read_to_string(format!("/proc/{number}/comm"))
            .is_ok_and(|comm| ["story\n", "bench\n"].contains(&&*comm))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_stories_are_taken_for_theirs() {
        for stage in ["icmpgate-story-17", "icmpgate-story-17-3"] {
            for name in [stage, &format!("{stage}-gate"), &format!("{stage}-peer")] {
                assert_eq!(stage_of(name), Some((17, stage)));
            }
        }
        for other in [
            "icmpgate-story-",
            "icmpgate-story-x-gate",
            "icmpgate-story-17-x",
            "icmpgate-kept-17",
            "icmpgate-17",
        ] {
            assert_eq!(stage_of(other), None, "{other}");
        }
    }
}

//! The acts of the story: what is sent, and what should become of it.

use crate::stage::{BEYOND, GATE_V4, GATE_V6, PEER_V4};
use icmpgate_rig::metrics::Key;

/// One act.
pub(crate) struct Act {
    /// What is sent, as the table has it.
    pub(crate) title: String,
    /// How it is done.
    pub(crate) doing: Doing,
    /// How many frames that is, where it is known beforehand.
    pub(crate) frames: Option<u64>,
    /// What of the counters is about it.
    pub(crate) about: About,
    /// The reasons that are right for it: one, but for traffic of several kinds.
    pub(crate) reasons: &'static [&'static str],
}

/// How an act is done.
pub(crate) enum Doing {
    /// A tool is run in the peer's namespace.
    FromPeer(String),
    /// A tool is run in the protected namespace, and what it meets comes in.
    FromGate(String),
    /// A group is joined by a socket in the peer's namespace.
    JoinV4,
    /// Likewise, with IPv6.
    JoinV6,
    /// These frames are sent as they are.
    Frames(Vec<Vec<u8>>),
}

/// What of the counters an act is about: a family and its types, of what arrives.
#[derive(Clone, Copy)]
pub(crate) struct About(pub(crate) &'static str, pub(crate) &'static [&'static str]);

impl About {
    pub(crate) fn covers(self, key: &Key) -> bool {
        key.hook == "ingress" && key.family == self.0 && self.1.contains(&key.ty.as_str())
    }
}

/// Acts whose packets are made by real tools and by Linux.
pub(crate) fn real() -> Vec<Act> {
    let act = |title: &str, doing, frames, about, reasons| Act {
        title: title.to_owned(),
        doing,
        frames,
        about,
        reasons,
    };
    let ping = format!("ping -n -q -c 5 -i 0.2 -W 1 {GATE_V4}");
    let ping6 = format!("ping -6 -n -q -c 5 -i 0.2 -W 1 {GATE_V6}");
    let large = format!("ping -n -q -c 2 -i 0.2 -W 1 -s 2000 {GATE_V4}");
    let here = format!("traceroute -n -I -q 1 -w 1 {GATE_V4}");
    let out = format!("traceroute -n -q 3 -w 1 {PEER_V4}");
    let beyond = format!("traceroute -n -q 3 -w 1 -m 1 {BEYOND}");
    let echo = About("icmpv4", &["8"]);
    let echo_or_later = About("icmpv4", &["8", "none"]);
    use Doing::{FromGate, FromPeer, JoinV4, JoinV6};
    vec![
        act("ping", FromPeer(ping), Some(5), echo, &["within-limit"]),
        act("ping -6", FromPeer(ping6), Some(5), About("icmpv6", &["128"]), &["within-limit"]),
        act(
            "ping -s 2000, in fragments",
            FromPeer(large),
            Some(4),
            echo_or_later,
            &["within-limit"],
        ),
        act("traceroute -I to the host", FromPeer(here), None, echo, &["within-limit"]),
        act(
            "port unreachable, for its own traceroute",
            FromGate(out),
            None,
            About("icmpv4", &["3"]),
            &["within-limit"],
        ),
        act(
            "time exceeded, for its own traceroute",
            FromGate(beyond),
            Some(3),
            About("icmpv4", &["11"]),
            &["within-limit"],
        ),
        act("IGMPv3 join, by a socket", JoinV4, None, About("igmp", &["34"]), &["within-limit"]),
        act("MLDv2 join, by a socket", JoinV6, None, About("icmpv6", &["143"]), &["within-limit"]),
    ]
}

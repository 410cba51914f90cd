//! The attacks.

use super::{
    Attack, Harm,
    scene::{self, ELSEWHERE4, OTHER4},
};

/// One packet, or the number that is sent.
macro_rules! counted {
    ($($labels:literal $least:literal $(- $most:literal)?),* $(,)?) => {
        &[$(($labels, counted!(@range $least $($most)?))),*]
    };
    (@range $n:literal) => { $n..=$n };
    (@range $least:literal $most:literal) => { $least..=$most };
}

/// Those whose rows say nothing of it are behind the profile `host`, and `explain` says what was counted.
const ROW: Attack = Attack {
    name: "",
    source: "",
    profile: "host",
    policy: "",
    victim: |_| unreachable!("each row has a victim"),
    bare: Harm::None,
    guarded: Harm::None,
    counted: &[],
    explained: None,
    remark: "",
};

const LINUX_REFUSES: &str = "Linux refuses it by itself";
const UNKNOWN_FLOW: &str =
    "who sent the packet isn't known, and errors about such pass within a limit";

/// The attacks, in the order in which they are printed.
pub const TABLE: &[Attack] = &[
    Attack {
        name: "TCP reset by a hard error, sequence numbers guessed",
        source: "RFC 5927 5, CVE-2004-0790",
        victim: |site| scene::asking(site, false),
        counted: counted!["icmpv4 3/3 drop flow-contradicted enforce" 4],
        remark: LINUX_REFUSES,
        ..ROW
    },
    Attack {
        name: "TCP reset by a hard error, the request seen",
        source: "RFC 5927 5",
        victim: |site| scene::asking(site, true),
        bare: Harm::Full,
        guarded: Harm::Full,
        counted: counted!["icmpv4 3/3 pass within-limit enforce" 1],
        remark: "who sees the request can say what its destination would",
        ..ROW
    },
    Attack {
        name: "UDP reset by a hard error, the ports known",
        source: "RFC 5927 5",
        victim: scene::datagrams,
        bare: Harm::Full,
        guarded: Harm::Full,
        counted: counted!["icmpv4 3/3 pass within-limit enforce" 1],
        remark: "a datagram has no sequence number that would have to be known",
        ..ROW
    },
    Attack {
        name: "path MTU 68 of a TCP connection, sequence numbers guessed",
        source: "RFC 5927 7, CVE-2004-1060",
        victim: |site| scene::connected(site, false, "3/4", 68),
        counted: counted!["icmpv4 3/4 drop flow-contradicted enforce" 4],
        remark: LINUX_REFUSES,
        ..ROW
    },
    Attack {
        name: "path MTU 1,280 of a TCP connection over IPv6, sequence numbers guessed",
        source: "RFC 5927 7, RFC 8201 6",
        victim: |site| scene::connected(site, true, "2/0", 1280),
        counted: counted!["icmpv6 2/0 drop flow-contradicted enforce" 4],
        remark: LINUX_REFUSES,
        ..ROW
    },
    Attack {
        name: "path MTU 68 about an echo reply that nobody sent",
        source: "RFC 1191 8",
        victim: |site| scene::path(site, false, 68, None, None),
        bare: Harm::Full,
        guarded: Harm::Full,
        counted: counted!["icmpv4 3/4 pass within-limit enforce" 1],
        remark: UNKNOWN_FLOW,
        ..ROW
    },
    Attack {
        name: "path MTU 68 about an echo reply that nobody sent, strict",
        source: "RFC 1191 8",
        profile: "strict",
        victim: |site| scene::path(site, false, 68, None, None),
        bare: Harm::Full,
        counted: counted!["icmpv4 3/4 drop unknown-flow enforce" 1],
        ..ROW
    },
    Attack {
        name: "path MTU 67, which no link has",
        source: "RFC 791 3.2, RFC 1191 3",
        victim: |site| scene::path(site, false, 67, None, None),
        bare: Harm::Full,
        counted: counted!["icmpv4 3/4 drop quote-mtu enforce" 1],
        ..ROW
    },
    Attack {
        name: "packet too big of 1,000 octets, for atomic fragments",
        source: "RFC 6946, RFC 8021",
        victim: |site| scene::path(site, true, 1000, None, None),
        counted: counted!["icmpv6 2/0 drop quote-mtu enforce" 1],
        remark: LINUX_REFUSES,
        ..ROW
    },
    Attack {
        name: "packet too big of 1,280 octets about an echo reply that nobody sent",
        source: "RFC 8201 6",
        victim: |site| scene::path(site, true, 1280, None, None),
        bare: Harm::Full,
        guarded: Harm::Full,
        counted: counted!["icmpv6 2/0 pass within-limit enforce" 1],
        remark: UNKNOWN_FLOW,
        ..ROW
    },
    Attack {
        name: "packet too big of 1,280 octets about an echo reply that nobody sent, strict",
        source: "RFC 8201 6",
        profile: "strict",
        victim: |site| scene::path(site, true, 1280, None, None),
        bare: Harm::Full,
        counted: counted!["icmpv6 2/0 drop unknown-flow enforce" 1],
        ..ROW
    },
    Attack {
        name: "error about a packet that somebody else sent",
        source: "RFC 1122 3.2.2",
        victim: |site| scene::path(site, false, 576, None, Some(OTHER4)),
        counted: counted!["icmpv4 3/4 drop quote-source enforce" 1],
        remark: LINUX_REFUSES,
        ..ROW
    },
    Attack {
        name: "error from a loopback address",
        source: "RFC 1122 3.2.1.3",
        victim: |site| scene::path(site, false, 576, Some("127.0.0.1"), None),
        counted: counted!["icmpv4 3/4 drop error-source enforce" 1],
        remark: LINUX_REFUSES,
        ..ROW
    },
    Attack {
        name: "error from the broadcast address",
        source: "RFC 1122 3.2.1.3",
        victim: |site| scene::path(site, false, 576, Some("10.77.0.255"), None),
        bare: Harm::Full,
        counted: counted!["icmpv4 3/4 drop error-source enforce" 1],
        ..ROW
    },
    Attack {
        name: "redirect in the gateway's name",
        source: "RFC 1122 3.2.2.2",
        victim: |site| scene::way(site, false),
        bare: Harm::Full,
        counted: counted!["icmpv4 5/1 drop redirect-sender enforce" 2],
        explained: Some(counted!["icmpv4 5/1 drop redirect-unverified" 2]),
        ..ROW
    },
    Attack {
        name: "redirect in the gateway's name, from its hardware address",
        source: "RFC 1122 3.2.2.2",
        victim: |site| scene::way(site, true),
        bare: Harm::Full,
        guarded: Harm::Full,
        counted: counted!["icmpv4 5/1 pass within-limit enforce" 2],
        explained: Some(counted!["icmpv4 5/1 drop redirect-unverified" 2]),
        remark: "it is what the gateway itself would send",
        ..ROW
    },
    Attack {
        name: "router advertisement of a rogue router",
        source: "RFC 6104, RFC 6105",
        victim: scene::configured,
        bare: Harm::Full,
        guarded: Harm::Full,
        counted: counted!["icmpv6 134/0 pass within-limit enforce" 1],
        remark: "nothing in it is false, so routers have to be listed",
        ..ROW
    },
    Attack {
        name: "router advertisement of a rogue router, true ones listed",
        source: "RFC 6104, RFC 6105",
        policy: "routers = \"fe80::2\"",
        victim: scene::configured,
        bare: Harm::Full,
        counted: counted!["icmpv6 134/0 drop router-unlisted enforce" 1],
        ..ROW
    },
    Attack {
        name: "router advertisement of ICMPv4",
        source: "RFC 1256, CVE-1999-0875",
        victim: scene::configured_v4,
        counted: counted!["icmpv4 9/0 drop denied enforce" 1],
        remark: "Linux takes none",
        ..ROW
    },
    Attack {
        name: "neighbour advertisement from elsewhere",
        source: "RFC 4861 7.1.2, 11",
        victim: |site| scene::neighbour(site, 254, "whole"),
        counted: counted!["icmpv6 136/0 drop hop-limit enforce" 1],
        remark: LINUX_REFUSES,
        ..ROW
    },
    Attack {
        name: "neighbour advertisement behind a fragment header",
        source: "RFC 6980 5",
        victim: |site| scene::neighbour(site, 255, "fragment"),
        counted: counted!["icmpv6 136/0 drop fragmented-discovery enforce" 1],
        remark: LINUX_REFUSES,
        ..ROW
    },
    Attack {
        name: "neighbour advertisement in a neighbour's name, on the link",
        source: "RFC 3756 4.1.1",
        victim: |site| scene::neighbour(site, 255, "whole"),
        bare: Harm::Full,
        guarded: Harm::Full,
        counted: counted!["icmpv6 136/0 pass within-limit enforce" 1],
        remark: "who is on the link can say whatever a neighbour can",
        ..ROW
    },
    Attack {
        name: "source quench about a TCP connection",
        source: "RFC 6633, CVE-2004-0791",
        victim: scene::sender,
        counted: counted!["icmpv4 4/0 drop denied enforce" 1],
        remark: LINUX_REFUSES,
        ..ROW
    },
    Attack {
        name: "smurf: echo to the broadcast address",
        source: "RFC 2644, CVE-1999-0513",
        victim: |site| scene::broadcast(site, false),
        counted: counted!["icmpv4 8/0 drop over-limit enforce" 1-800],
        remark: "Linux answers none by default",
        ..ROW
    },
    Attack {
        name: "smurf: echo to the broadcast address, icmp_echo_ignore_broadcasts 0",
        source: "RFC 2644, CVE-1999-0513",
        victim: |site| scene::broadcast(site, true),
        bare: Harm::Full,
        guarded: Harm::Limited,
        counted: counted!["icmpv4 8/0 drop over-limit enforce" 1-800],
        remark: "within the limit of the source that the requests name",
        ..ROW
    },
    Attack {
        name: "smurf: echo to all nodes of the link",
        source: "RFC 4443 2.4, 5.2",
        victim: scene::all_nodes,
        bare: Harm::Full,
        guarded: Harm::Limited,
        counted: counted!["icmpv6 128/0 drop over-limit enforce" 1-800],
        remark: "within the limit of the source that the requests name",
        ..ROW
    },
    Attack {
        name: "flood of echo requests from one source",
        source: "RFC 4732 2.1",
        victim: scene::flooded,
        bare: Harm::Full,
        guarded: Harm::Limited,
        counted: counted!["icmpv4 8/0 drop over-limit enforce" 1-1800],
        remark: "another source is answered meanwhile",
        ..ROW
    },
    Attack {
        name: "timestamp request",
        source: "CVE-1999-0524",
        victim: scene::clock,
        bare: Harm::Full,
        counted: counted!["icmpv4 13/0 drop denied enforce" 5],
        ..ROW
    },
    Attack {
        name: "ping of death",
        source: "RFC 791 3.2, CVE-1999-0128",
        victim: |site| scene::beyond(site, false),
        counted: counted![
            "icmpv4 none/none drop ip-total-length enforce" 1,
            "icmpv4 8/0 pass within-limit enforce" 1,
        ],
        remark: LINUX_REFUSES,
        ..ROW
    },
    Attack {
        name: "ping of death of IPv6",
        source: "RFC 8200 4.5",
        victim: |site| scene::beyond(site, true),
        counted: counted![
            "icmpv6 none/none drop ipv6-payload-length enforce" 1,
            "icmpv6 128/0 pass within-limit enforce" 1,
        ],
        remark: LINUX_REFUSES,
        ..ROW
    },
    Attack {
        name: "overlapping fragments of an echo request",
        source: "RFC 1858 4",
        victim: |site| scene::overlapping(site, false),
        counted: counted![
            "icmpv4 8/0 pass within-limit enforce" 1,
            "icmpv4 none/none pass within-limit enforce" 1,
        ],
        remark: "it passes, and Linux, which puts them together, refuses it",
        ..ROW
    },
    Attack {
        name: "overlapping fragments of an echo request of IPv6",
        source: "RFC 5722",
        victim: |site| scene::overlapping(site, true),
        counted: counted![
            "icmpv6 128/0 pass within-limit enforce" 1,
            "icmpv6 none/none pass within-limit enforce" 1,
        ],
        remark: "it passes, and Linux, which puts them together, refuses it",
        ..ROW
    },
    Attack {
        name: "land: echo from the machine itself",
        source: "RFC 1122 3.2.1.3, CVE-1999-0016",
        victim: |site| scene::itself(site, false),
        counted: counted!["icmpv4 8/0 pass within-limit enforce" 10],
        remark: "it passes, and Linux refuses it",
        ..ROW
    },
    Attack {
        name: "land: echo from the machine itself, IPv6",
        source: "CVE-1999-0016",
        victim: |site| scene::itself(site, true),
        counted: counted!["icmpv6 128/0 pass within-limit enforce" 10],
        remark: "it answers itself, once for each, and takes no harm by it",
        ..ROW
    },
    Attack {
        name: "IGMP leave from elsewhere",
        source: "RFC 2236 2, RFC 4541 2.1.1",
        victim: |site| scene::leave(site, ELSEWHERE4, 61),
        bare: Harm::Full,
        counted: counted!["igmp 23/0 drop hop-limit enforce" 1],
        ..ROW
    },
    Attack {
        name: "IGMP leave from elsewhere, its time to live counted out",
        source: "RFC 4541 2.1.1",
        victim: |site| scene::leave(site, ELSEWHERE4, 1),
        bare: Harm::Full,
        guarded: Harm::Full,
        counted: counted!["igmp 23/0 pass within-limit enforce" 1],
        remark: "the port of a bridge has no networks that the source could be held against",
        ..ROW
    },
    Attack {
        name: "MLD done from elsewhere",
        source: "RFC 2710 3, RFC 9777 5",
        victim: |site| scene::done(site, "fe80::66", 61),
        bare: Harm::Full,
        counted: counted!["icmpv6 132/0 drop hop-limit enforce" 1],
        ..ROW
    },
    Attack {
        name: "IGMP query of version 1 from elsewhere",
        source: "RFC 9776 7.2.1",
        victim: scene::version,
        bare: Harm::Full,
        counted: counted!["igmp 17/0 drop hop-limit enforce" 1],
        ..ROW
    },
    Attack {
        name: "storm of IGMP queries that give no time",
        source: "RFC 9776 4.1.1",
        victim: scene::reporter,
        bare: Harm::Limited,
        guarded: Harm::Limited,
        counted: counted!["igmp 17/0 drop over-limit enforce" 1-1800],
        remark: "Linux itself answers many at once with one report",
        ..ROW
    },
    Attack {
        name: "IGMPv3 report that states 10,000 records and has 180",
        source: "RFC 9776 4.2",
        victim: |site| scene::table(site, 1500, 10_000, 180),
        bare: Harm::Full,
        counted: counted!["igmp 34/0 drop records-overrun enforce" 1],
        ..ROW
    },
    Attack {
        name: "IGMPv3 report of 1,100 records",
        source: "RFC 9776 4.2",
        victim: |site| scene::table(site, 9000, 1_100, 1_100),
        bare: Harm::Full,
        counted: counted!["igmp 34/0 drop records-beyond-bound enforce" 1],
        ..ROW
    },
];

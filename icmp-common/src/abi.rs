//! The shapes of the maps: what the loader writes and the kernel program reads, and the other way
//! round.
//!
//! Every value is `#[repr(C)]` of fixed-width integers with its padding spelt out, and its size is
//! asserted. Whoever changes a shape raises [`SCHEMA`]; a pinned map of another schema is refused.
//!
//! A policy is one [`PolicyTable`] for each hook. They are the elements of an inner array map, and the
//! outer map has one slot: replacing what is in that slot is the atomic swap, so a packet that has
//! looked it up sees that policy to its end.

use crate::bucket::Draws;
use crate::cells::CellSet;
use crate::penalty::Penalty;
use crate::share::Speed;
use crate::verdict::OUTCOMES;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The version of everything in this file. Pinned maps of another version are not adopted.
pub const SCHEMA: u32 = 11;

/// A family of messages: an index into the tables that are kept by family.
pub mod family {
    /// Not ours: neither ICMP, ICMPv6 nor IGMP.
    pub const NONE: u8 = 0;
    /// ICMPv4: IP protocol 1.
    pub const ICMPV4: u8 = 1;
    /// ICMPv6, MLD and neighbour discovery included: IP next header 58.
    pub const ICMPV6: u8 = 2;
    /// IGMP: IP protocol 2.
    pub const IGMP: u8 = 3;
    /// How many families have types and codes.
    pub const COUNT: usize = 3;
    /// Those families.
    pub const ALL: [u8; COUNT] = [ICMPV4, ICMPV6, IGMP];

    /// The label used in policy, metrics and JSON.
    #[must_use]
    pub const fn label(family: u8) -> &'static str {
        match family {
            ICMPV4 => "icmpv4",
            ICMPV6 => "icmpv6",
            IGMP => "igmp",
            _ => "none",
        }
    }
}

/// What part of a fragmented packet this is: an index into the contexts of a policy.
pub mod fragment {
    /// A whole packet, IPv6 atomic fragments (RFC 6946) included.
    pub const NONE: u8 = 0;
    /// The first fragment: it has the message's header, but not all that the checksum covers.
    pub const FIRST: u8 = 1;
    /// A later fragment: it has no header of the message.
    pub const LATER: u8 = 2;
    /// How many there are.
    pub const COUNT: usize = 3;

    /// The label used in policy and JSON.
    #[must_use]
    pub const fn label(fragment: u8) -> &'static str {
        match fragment {
            NONE => "none",
            FIRST => "first",
            _ => "later",
        }
    }
}

/// Where a packet is going, as a rule's `destination` says.
pub mod destination {
    /// To this machine: an address of its own, a broadcast or a multicast address.
    pub const LOCAL: u8 = 0;
    /// Through this machine.
    pub const TRANSIT: u8 = 1;
    /// How many there are.
    pub const COUNT: usize = 2;
}

/// Where a packet that is sent comes from, as a rule's `origin` says.
pub mod origin {
    /// From this machine.
    pub const GENERATED: u8 = 0;
    /// From another, through this one.
    pub const FORWARDED: u8 = 1;
    /// How many there are.
    pub const COUNT: usize = 2;
}

/// A hook: an index of the tables of a policy.
pub mod hook {
    /// What arrives: XDP.
    pub const INGRESS: u8 = 0;
    /// What this machine sends: TCX, or clsact.
    pub const EGRESS: u8 = 1;
    /// How many there are.
    pub const COUNT: usize = 2;
    /// They, in the order of their index.
    pub const ALL: [u8; COUNT] = [INGRESS, EGRESS];

    /// The label used in policy, metrics and JSON.
    #[must_use]
    pub const fn label(hook: u8) -> &'static str {
        match hook {
            INGRESS => "ingress",
            _ => "egress",
        }
    }
}

/// What the program at the egress hook returns (linux/pkt_cls.h).
pub mod tc_action {
    /// Go on with the next program, whose verdict it then is; the end of the chain passes. The same
    /// as `TCX_NEXT`.
    pub const UNSPEC: i32 = -1;
    /// Discard the packet.
    pub const SHOT: i32 = 2;
}

/// What a checksum turned out to be.
pub mod checksum {
    /// There is none to look at: not ours, or no readable message.
    pub const ABSENT: u8 = 0;
    /// It verifies over the whole message.
    pub const GOOD: u8 = 1;
    /// It doesn't.
    pub const BAD: u8 = 2;
    /// It can't be told: a first fragment, or a routing header whose final destination is unknown.
    pub const UNVERIFIED: u8 = 3;

    /// The label used by `explain`; `None` where there is none.
    #[must_use]
    pub const fn label(checksum: u8) -> Option<&'static str> {
        match checksum {
            GOOD => Some("good"),
            BAD => Some("bad"),
            UNVERIFIED => Some("unverified"),
            _ => None,
        }
    }
}

/// How many classes are counted apart (assigned pairs, pairs that rules name, and the rest by
/// family).
pub const CLASSES: usize = 512;
/// The class of what isn't ours.
pub const CLASS_NOT_OURS: u16 = 0;

/// The class of what belongs to a family but has no readable type and code: later fragments, and
/// packets cut before their message.
#[must_use]
#[inline(always)]
pub const fn class_headerless(family: u8) -> u16 {
    family as u16
}

/// The class that every unassigned and unnamed pair of a family shares.
#[must_use]
#[inline(always)]
pub const fn class_other(family: u8) -> u16 {
    family::COUNT as u16 + family as u16
}

/// The first class that stands for one pair of type and code.
pub const CLASS_FIRST_PAIR: u16 = 2 * family::COUNT as u16 + 1;

/// What a class stands for. All zero: the class isn't in use.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct ClassKey {
    /// One of [`class_kind`].
    pub kind: u8,
    /// One of [`family`].
    pub family: u8,
    /// The type, where the kind is [`class_kind::PAIR`].
    pub ty: u8,
    /// The code, likewise.
    pub code: u8,
}

/// The kinds of class.
pub mod class_kind {
    /// Not in use.
    pub const UNUSED: u8 = 0;
    /// What isn't ours.
    pub const NOT_OURS: u8 = 1;
    /// Ours, with no readable type and code.
    pub const HEADERLESS: u8 = 2;
    /// The pairs of a family that aren't counted apart.
    pub const OTHER: u8 = 3;
    /// One pair of type and code.
    pub const PAIR: u8 = 4;
}

/// How many counters an interface has. One comes into use when its (class, outcome) is first seen.
pub const COUNTERS: usize = 4096;
/// The counter that takes what finds no free one.
pub const COUNTER_OVERFLOW: u32 = 0;
/// The counters behind it, one for each hook, are of other traffic ([`CLASS_NOT_OURS`],
/// [`crate::verdict::Outcome::NOT_ICMP`]): of what is most, no row is looked at.
pub const COUNTER_OTHER: [u32; hook::COUNT] = [1, 2];
/// The first that comes into use when it is first needed.
pub const COUNTER_FREE: u32 = 3;

/// A counter: exact on every CPU, because each has its own.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Counter {
    /// Packets.
    pub packets: u64,
    /// Octets of the frame as the hook sees it, link-layer header included, checksum excluded.
    pub octets: u64,
}

/// For one class, the counter of each outcome; 0 where none has come into use.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CounterRow {
    /// By [`crate::verdict::Outcome`].
    pub counter: [u32; OUTCOMES],
}

/// How many interfaces one instance holds.
pub const INTERFACES: usize = 64;

/// How many rows of counters an interface has: for each hook, one a class.
pub const COUNTER_ROWS: usize = hook::COUNT * CLASSES;

/// An interface that the program is, or was, attached to. Its index in the map never changes, so
/// counters and rules follow a name through detaching and re-creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Interface {
    /// Its name, padded with zeros (IFNAMSIZ); all zero where the entry isn't in use.
    pub name: [u8; 16],
    /// Its index when last attached.
    pub ifindex: u32,
    /// One of [`attach_mode`].
    pub mode: u32,
    /// One of [`egress_mode`].
    pub egress: u32,
    /// Its speed as its driver has it, in Mbit/s; 0 where that isn't known.
    pub link_speed: u32,
    /// Its speed as the policy has it, likewise: this one counts.
    pub policy_speed: u32,
    /// Zero.
    pub pad: u32,
}

impl Interface {
    /// The speed by which shares of it go.
    #[must_use]
    pub const fn speed(&self) -> Speed {
        Speed(self.policy_speed).or(Speed(self.link_speed))
    }
}

/// How the program for what is sent is attached.
pub mod egress_mode {
    /// Not attached.
    pub const DETACHED: u32 = 0;
    /// By a link of its own (TCX, Linux 6.6).
    pub const TCX: u32 = 1;
    /// As a filter of the queueing discipline `clsact`, which was there before.
    pub const CLSACT: u32 = 2;
    /// Likewise, and it was made for the filter.
    pub const CLSACT_MADE: u32 = 3;
}

/// How a program is attached.
pub mod attach_mode {
    /// Not attached.
    pub const DETACHED: u32 = 0;
    /// In the driver.
    pub const NATIVE: u32 = 1;
    /// In the stack, by the kernel's generic hook.
    pub const GENERIC: u32 = 2;
}

/// How many rules a policy has at most, those of its profile included.
pub const RULES: usize = 1024;
const _: () = assert!(RULES.is_power_of_two(), "the kernel program masks rule numbers");
/// The rule number of what no rule decided.
pub const RULE_NONE: u16 = u16::MAX;
/// How many limits there are that are a share of an interface's speed: a new policy's stand beside
/// those that the old one still uses during the swap.
pub const SHARES: usize = 64;
/// The first of them: they are the last of all limits.
pub const FIRST_SHARE: usize = 4 * RULES;
/// How many limits there are, each with a bucket, counters and a description: twice what one
/// policy can use, so that a new policy's can stand beside those that the old one still uses during
/// the swap.
pub const LIMITS: usize = FIRST_SHARE + SHARES;
/// How many token buckets there are: one for each limit, and behind them one of each share for each
/// interface.
pub const BUCKETS: usize = LIMITS + SHARES * INTERFACES;

/// The bucket that a share, by the index of the limit, has for an interface, by its stable index.
#[must_use]
#[inline(always)]
pub const fn bucket_of_share(limit: u32, interface: u32) -> u32 {
    let share = limit.wrapping_sub(FIRST_SHARE as u32);
    (LIMITS as u32).wrapping_add(share.wrapping_mul(INTERFACES as u32)).wrapping_add(interface)
}

/// How many routers a policy lists at most.
pub const ROUTERS: usize = 16;

/// What a policy says of groups and their members: see [`crate::member`]. All zero: nothing is learnt.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct GroupPolicy {
    /// The interfaces that multicast leaves only by where its group has members: a bit by stable index.
    pub gated: u64,
    /// What a new member costs the link's bucket, and how far that may run ahead: see [`crate::bucket`].
    pub join_cost: u64,
    /// See `join_cost`.
    pub join_depth: u64,
    /// How many groups an interface has at most.
    pub per_interface: u32,
    /// In how many groups a host is at most.
    pub per_host: u32,
    /// Of [`group_flag`].
    pub flags: u32,
    /// Zero.
    pub pad: u32,
}

const _: () = assert!(size_of::<GroupPolicy>() == 40);

/// Flags of a [`GroupPolicy`].
pub mod group_flag {
    /// What has no member is noted, and goes.
    pub const OBSERVE: u32 = 1;
    /// What no interface has a member of goes everywhere.
    pub const UNREGISTERED_GO: u32 = 2;
    /// Other routers of a link are no reason to send it everything.
    pub const IGNORE_ROUTERS: u32 = 4;
    /// Some groups have a member because the policy says so.
    pub const STATIC: u32 = 8;
}

/// How many groups are kept, of all interfaces together.
pub const GROUPS: usize = 65_536;
/// How many links have queriers and members: interfaces, and VLANs on them, by version of IP.
pub const LINKS: usize = 1024;
/// How many groups are counted apart that were kept from where they have no member. The one that was longest unused
/// makes room.
pub const GATED: usize = 1024;
/// How many groups a policy says have a member, at most. Each stands twice, once for all links, and there is room for
/// twice as many again, so that a new policy's can stand beside those of the old one.
pub const STATIC_GROUPS: usize = 512;
/// How many words hosts are counted in, by a keyed hash: some share one.
pub const HOST_WORDS: usize = 16_384;
/// Words of [`name::GROUPS_HELD`]: by the stable index of an interface the groups that it has, and behind these by hash
/// the groups that a host is in.
pub const HELD_WORDS: usize = INTERFACES + HOST_WORDS;

/// The word that counts the groups of a host on a link.
#[must_use]
#[inline(always)]
pub const fn host_word(link: crate::member::LinkKey, reporter: u64, secret: u64) -> u32 {
    let link = link.interface as u64
        | (link.version as u64) << 16
        | (link.outer as u64) << 32
        | (link.inner as u64) << 48;
    // Multiply-shift, twice, by odd numbers: who doesn't know the secret can't choose whom to share with.
    let mixed = (reporter ^ secret).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 32 ^ link).wrapping_mul(secret | 1);
    INTERFACES as u32 + (mixed >> 50) as u32 % HOST_WORDS as u32
}

/// How many entries the decision table has: contexts times distinct rows.
pub const DECISIONS: usize = 131_072;

/// What a rule does.
pub mod action {
    /// Pass.
    pub const PASS: u8 = 0;
    /// Drop, for [`super::Rule::reason`].
    pub const DROP: u8 = 1;
    /// Pass within the limit, drop beyond it.
    pub const LIMIT: u8 = 2;
    /// Answer with an ICMP error within the limits, drop where none may be sent.
    pub const REJECT: u8 = 3;
    /// Answer the request that it is, likewise.
    pub const REPLY: u8 = 4;
}

/// Flags of a rule.
pub mod rule_flag {
    /// Note the verdict, and pass.
    pub const OBSERVE: u8 = 1;
    /// Ask whether the flow of an error, or the request of an answer, is this machine's: see [`crate::flow`].
    pub const FLOW: u8 = 2;
    /// What it drops passes where it answers a request of this machine's own.
    pub const EXCEPT_OWN_REQUESTS: u8 = 4;
    /// Ask the routes about redirects that arrive.
    pub const REDIRECT: u8 = 8;
    /// Drop those about which the routes can't be asked.
    pub const VERIFY: u8 = 16;
    /// Hold router advertisements against the list of routers.
    pub const ROUTERS: u8 = 32;
    /// What it drops passes where it is an advertisement of a listed router.
    pub const EXCEPT_LISTED_ROUTERS: u8 = 64;
    /// Ask any of these.
    pub const ASKS: u8 = FLOW | REDIRECT | ROUTERS | EXCEPT_LISTED_ROUTERS;
}

/// Flags of a limit.
pub mod limit_flag {
    /// It counts octets of the frame, not packets.
    pub const OCTETS: u8 = 1;
    /// It reads time from the kernel's ticks.
    pub const TICKS: u8 = 2;
    /// What a packet is charged is randomised: see [`crate::bucket::Draws`].
    pub const RANDOM: u8 = 4;
    /// It is a reserve: what is beyond it has a reason of its own.
    pub const RESERVE: u8 = 8;
    /// Packets from a gateway of this machine are outside it.
    pub const EXCEPT_GATEWAY: u8 = 16;
    /// It is a share of the interface's speed: see [`crate::share`]. It counts octets, its cost is
    /// [`crate::share::Share::factor`], and it has a bucket for each interface
    /// ([`super::bucket_of_share`]).
    pub const SHARE: u8 = 32;
    /// It is of what the rule decides and whose flow is unknown: see [`super::Rule::unknown`].
    pub const UNKNOWN_FLOW: u8 = 64;
}

/// What shares a bucket of a limit by key.
pub mod limit_key {
    /// Everything: the limit is one in total.
    pub const TOTAL: u8 = 0;
    /// What has one source.
    pub const SOURCE: u8 = 1;
    /// What has one destination.
    pub const DESTINATION: u8 = 2;
    /// What is on one interface.
    pub const LINK: u8 = 3;

    /// The label used in policy, metrics and JSON.
    #[must_use]
    pub const fn label(key: u8) -> &'static str {
        match key {
            SOURCE => "source",
            DESTINATION => "destination",
            LINK => "link",
            _ => "total",
        }
    }
}

/// How many limits in total a rule has at most, and how many by key.
pub const LIMITS_OF_A_KIND: usize = 2;
/// A prefix length of IPv6 keys: 64 for what is behind a router, 128 for link-local addresses and
/// those of networks that this machine is on.
pub const PREFIX_AUTO: u8 = 0xff;

/// A limit that everything a rule matches shares, or of a share, everything on an interface. All zero:
/// there is none.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct TotalLimit {
    /// What one packet, or one octet, costs: see [`crate::bucket`] for the unit. Of a share, a factor:
    /// see [`limit_flag::SHARE`]. 0 where there is no limit.
    pub cost: u64,
    /// How far ahead of the present the bucket may run: its burst, in the unit of time.
    pub depth: u64,
    /// The index of the limit, below [`LIMITS`].
    pub limit: u32,
    /// Of [`limit_flag`].
    pub flags: u8,
    /// Zero.
    pub pad: [u8; 3],
}

/// A limit with a bucket for each key. All zero: there is none.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct KeyedLimit {
    /// As [`TotalLimit::cost`].
    pub cost: u64,
    /// As [`TotalLimit::depth`].
    pub depth: u64,
    /// What makes its keys' tags differ from those of other limits.
    pub secret: u64,
    /// The index of the limit, below [`LIMITS`]. Its bucket is what keys without a cell share.
    pub limit: u32,
    /// One of [`limit_key`], not `TOTAL`.
    pub key: u8,
    /// Of [`limit_flag`].
    pub flags: u8,
    /// How many bits of an IPv4 address make a key: 0 to 32.
    pub prefix_v4: u8,
    /// How many bits of an IPv6 address: 0 to 128, or [`PREFIX_AUTO`].
    pub prefix_v6: u8,
}

/// A rule as the kernel sees it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Rule {
    /// One of [`action`].
    pub action: u8,
    /// Of [`rule_flag`].
    pub flags: u8,
    /// The reason of a drop: an index of [`crate::verdict::TABLE`].
    pub reason: u8,
    /// Of [`action::REJECT`], the type of the error. 0, which no error has: the packet is answered
    /// with what its family has for *administratively prohibited*.
    pub answer_type: u8,
    /// Its code.
    pub answer_code: u8,
    /// Zero.
    pub pad: u8,
    /// What it says besides: an MTU or a pointer, in octets; 0 where it has neither.
    pub answer_value: u16,
    /// What it asks for in transit: the faults of rows V2 to V8, a bit by reason.
    pub checks: u32,
    /// Of [`crate::verdict::JUDGED`], the faults that aren't looked at where it decides: a bit by reason.
    pub checks_off: u32,
    /// Likewise those that are noted and pass.
    pub checks_observe: u32,
    /// The number of the rule that decides in its place where the flow is unknown, or [`RULE_NONE`]; of a rule that
    /// asks for no flow, nothing.
    pub unknown: u16,
    /// Zero.
    pub pad2: u16,
    /// Its limits in total.
    pub totals: [TotalLimit; LIMITS_OF_A_KIND],
    /// Its limits by key.
    pub keyed: [KeyedLimit; LIMITS_OF_A_KIND],
    /// When it boxes a source.
    pub penalty: Penalty,
}

/// A token bucket that all CPUs share, alone on its cache line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Bucket {
    /// Its theoretical arrival time, in the unit of [`crate::bucket`].
    pub tat: u64,
    /// How often the compare-and-swap lost to other CPUs until it gave up.
    pub contended: u64,
    /// When an established key last drew on it, in the same unit: see [`crate::cells`].
    pub established: u64,
    /// Zero.
    pub pad: [u64; 5],
}

const _: () = assert!(size_of::<Bucket>() == 64);

/// What passed a limit and what didn't, on one CPU.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct LimitCounter {
    /// Packets within it. Where the rule has other limits, they were beyond none of them.
    pub passed: u64,
    /// Packets beyond it. A rule's limits are asked one after the other, and the first that refuses
    /// ends it.
    pub refused: u64,
    /// Where it is charged at random, the draws that this CPU has left: beside what is counted at the same
    /// time, and so looked up with it.
    pub draws: Draws,
}

/// Whose a limit is and what it says: the loader's, for metrics and to find it again. All zero: not
/// in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LimitInfo {
    /// Of the rule's name and the limit; 0 where it isn't in use.
    pub fingerprint: u64,
    /// How many in each period; of a share, [`crate::share::Share`].
    pub rate: u64,
    /// How many at once; of a share, the burst in milliseconds.
    pub burst: u64,
    /// The cost of one: see [`TotalLimit::cost`].
    pub cost: u64,
    /// See [`TotalLimit::depth`].
    pub depth: u64,
    /// The period, in seconds; of a share, 0.
    pub period_s: u32,
    /// One of [`limit_key`].
    pub key: u8,
    /// Of [`limit_flag`].
    pub flags: u8,
    /// One of [`hook`].
    pub hook: u8,
    /// Zero.
    pub pad: u8,
    /// The rule's name, padded with zeros; a longer one is cut.
    pub rule: [u8; 72],
}

const _: () = assert!(size_of::<LimitInfo>() == 120);

/// How many sets of cells an instance has unless its policy says otherwise: 1 MiB, which the second-level
/// cache of a server's core holds. A flood from everywhere touches all of them, and what lies further away
/// costs more than all else that is done for a packet.
pub const CELL_SETS: u32 = 16_384;

/// What became of keys that had no cell, on one CPU.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct CellStats {
    /// Keys that took a cell.
    pub taken: u64,
    /// Packets whose key found no cell to take.
    pub full: u64,
}

/// How many networks of this machine are told apart when IPv6 keys are made.
pub const ON_LINK: usize = 16;

/// An IPv6 network that this machine is on. Both words as they lie in a packet.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct OnLinkPrefix {
    /// Its address.
    pub network: [u64; 2],
    /// Its mask.
    pub mask: [u64; 2],
}

/// The IPv6 networks that this machine is on.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct OnLink {
    /// How many there are.
    pub count: u64,
    /// They.
    pub prefixes: [OnLinkPrefix; ON_LINK],
}

/// How many addresses of a family an interface answers from at most.
pub const ENDPOINT_ADDRESSES: usize = 8;

/// Flags of an endpoint.
pub mod endpoint_flag {
    /// The driver takes VLAN tags off frames, or may: which VLAN an answer would go to isn't known.
    pub const VLAN_UNKNOWN: u32 = 1;
    /// Frames to any link-layer address are answered, as in a private copy, which has none.
    pub const ANY_HARDWARE: u32 = 2;
    /// What is sent by it is looked at, so that its requests are known.
    pub const REQUESTS_NOTED: u32 = 4;
}

/// An IPv4 address of an interface. Both as they lie in a packet.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct EndpointV4 {
    /// The address; 0 where the entry isn't in use.
    pub address: u32,
    /// The mask of its network.
    pub mask: u32,
}

/// What an interface answers from, and how fast it is: by its stable index. All zero: nothing is known
/// of it, nothing is answered, and no share of its speed is kept.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Endpoint {
    /// Of [`endpoint_flag`].
    pub flags: u32,
    /// The longest packet that it sends, in octets; 0 where that isn't known.
    pub mtu: u32,
    /// Its link-layer address.
    pub hardware: [u8; 6],
    /// Zero.
    pub pad: [u8; 2],
    /// How far the clock CLOCK_TAI is ahead of UTC on this machine, in seconds.
    pub tai_offset_s: i32,
    /// What an octet costs at its whole speed: [`crate::share::Speed::octet_cost`]. 0 where the speed
    /// isn't known.
    pub octet_cost: u32,
    /// Its IPv4 addresses, the one that it prefers first.
    pub v4: [EndpointV4; ENDPOINT_ADDRESSES],
    /// Its IPv6 link-local address, as it lies in a packet; zero where it has none.
    pub link_local: [u64; 2],
    /// Its other IPv6 addresses, likewise.
    pub v6: [[u64; 2]; ENDPOINT_ADDRESSES],
}

/// Flags of a policy: which stages its rules need, so that the others cost nothing.
pub mod policy_flag {
    /// Some rule tells local from transit; at the egress hook, generated from forwarded.
    pub const DESTINATION: u32 = 1;
    /// Some rule names a zone, and the zones have IPv4 prefixes.
    pub const ZONES_V4: u32 = 2;
    /// Some rule names a zone, and the zones have IPv6 prefixes.
    pub const ZONES_V6: u32 = 4;
    /// Nothing is enforced.
    pub const OBSERVE: u32 = 8;
}

/// What a (family, type, code) is to the policy: its row of the decision table and the class it is
/// counted as, packed so that one load has both.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct ClassEntry {
    /// The row: pairs that no rule tells apart share one.
    pub row: u16,
    /// The class, below [`CLASSES`].
    pub class: u16,
    /// The rule of all that isn't a fragment, wherever it is from and goes, where that is one;
    /// else [`RULE_NONE`].
    pub sole: u16,
    /// Zero.
    pub pad: u16,
}

/// One whole policy.
///
/// The rule of a packet is `decisions[fragment * fragment_stride + destination *
/// destination_stride + zone * zone_stride + interfaces[id] + row]`. A dimension that no rule uses
/// has stride 0.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PolicyTable {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Of [`policy_flag`].
    pub flags: u32,
    /// Counts the policies that have been put in force, from 1.
    pub generation: u64,
    /// Faults that aren't looked at: a bit by reason. Of [`crate::verdict::JUDGED`], the rule says it.
    pub checks_off: u32,
    /// Faults that are noted and pass.
    pub checks_observe: u32,
    /// Which of the two slots of the zone maps belongs to this policy.
    pub zone_slot: u32,
    /// Stride of the fragment dimension.
    pub fragment_stride: u32,
    /// Stride of the destination dimension; at the egress hook, of the origin.
    pub destination_stride: u32,
    /// Stride of the zone dimension.
    pub zone_stride: u32,
    /// How many sets of cells there are, less one: a power of two, less one.
    pub cell_mask: u32,
    /// How many ranges of addresses the zones have, by family: IPv4, IPv6.
    pub zone_ranges: [u32; 2],
    /// The first step of their search: [`crate::zones::first_step`].
    pub zone_steps: [u32; 2],
    /// How many routers are listed.
    pub routers: u32,
    /// What keeps strangers from choosing the cells of their keys.
    pub secret: u64,
    /// The routers, as their addresses lie in a packet; IPv4 in mapped form.
    pub listed: [[u64; 2]; ROUTERS],
    /// What it says of groups.
    pub groups: GroupPolicy,
    /// Offset by interface, already multiplied.
    pub interfaces: [u32; INTERFACES],
    /// What is headerless (later fragments and cut packets), by family; index 0 unused.
    pub headerless: [ClassEntry; family::COUNT + 1],
    /// By (family - 1) * 256 + type, then code.
    pub classes: [[ClassEntry; 256]; family::COUNT * 256],
    /// Rule numbers.
    pub decisions: [u16; DECISIONS],
    /// The rules.
    pub rules: [Rule; RULES],
}

const _: () = assert!(size_of::<Rule>() == 144);
const _: () = assert!(size_of::<Endpoint>() == 232);
const _: () = assert!(size_of::<Counter>() == 16);
const _: () = assert!(size_of::<CounterRow>() == 512);
const _: () = assert!(size_of::<Interface>() == 40);
const _: () = assert!(size_of::<ClassKey>() == 4);
const _: () = assert!(
    size_of::<PolicyTable>()
        == 72
            + 16 * ROUTERS
            + 40
            + 4 * INTERFACES
            + 32
            + 8 * 256 * 768
            + 2 * DECISIONS
            + 144 * RULES
);

/// The most prefixes that the zones of one policy hold, by family.
pub const ZONE_PREFIXES: u32 = 131_072;

/// How many ranges of addresses they make at most: where each begins, and where each ends. A power of two.
pub const ZONE_RANGES: usize = 2 * ZONE_PREFIXES as usize;
const _: () = assert!(ZONE_RANGES.is_power_of_two(), "the kernel program masks their numbers");

/// The columns of a table of zones: each is one value of its map.
///
/// Of IPv4 there is one: of each range the first address in the upper half of a word, and the number of
/// its set of zones in the lower. Of IPv6 there are these, all numbers as the machine has them.
pub mod zone_column {
    /// The upper half of the first address.
    pub const HIGH: u32 = 0;
    /// The lower half.
    pub const LOW: u32 = 1;
    /// The number of the set of zones.
    pub const SET: u32 = 2;
    /// How many there are.
    pub const COUNT: usize = 3;
}

/// One column.
pub type ZoneColumn = [u64; ZONE_RANGES];

/// The octets of one set of cells.
pub const CELL_SET_OCTETS: usize = size_of::<CellSet>();

/// Which kind of local address an entry of the map of addresses is.
pub mod local {
    /// An address of this machine.
    pub const UNICAST: u32 = 1;
    /// What the routing tables call a broadcast address.
    pub const BROADCAST: u32 = 2;
    /// No address of this machine, but of a gateway that its routes name.
    pub const GATEWAY: u32 = 3;
}

/// How many local addresses are held.
pub const LOCAL_ADDRESSES: usize = 4096;

/// What is known of the policy in force, for `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PolicyInfo {
    /// Counts the policies that have been put in force, from 1; 0 where there is none.
    pub generation: u64,
    /// When, in seconds since the epoch.
    pub applied_unix_s: u64,
    /// How many rules, the profile's included.
    pub rules: u32,
    /// How many prefixes its zones have.
    pub prefixes: u32,
    /// 1 where nothing is enforced.
    pub observe: u32,
    /// [`SCHEMA`].
    pub schema: u32,
    /// [`PolicyTable::secret`]: drawn once, when the instance was made, so that keys keep their
    /// cells when the policy is replaced.
    pub secret: u64,
    /// [`GroupPolicy::gated`].
    pub gated: u64,
    /// [`GroupPolicy::flags`].
    pub group_flags: u32,
    /// 1 where it is learnt who is a member of what.
    pub learns: u32,
    /// The name of its profile, padded with zeros.
    pub profile: [u8; 16],
    /// The absolute path of its file, padded with zeros; empty for a bare profile. A longer path is
    /// cut at the front.
    pub path: [u8; 184],
}

const _: () = assert!(size_of::<PolicyInfo>() == 256);

/// What the program found out and did with one packet: written only where the program is loaded
/// for `explain`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Trace {
    /// One of [`family`].
    pub family: u8,
    /// Whether `ty` and `code` were read: 0 or 1.
    pub has_type: u8,
    /// The type.
    pub ty: u8,
    /// The code.
    pub code: u8,
    /// One of [`checksum`].
    pub checksum: u8,
    /// One of [`fragment`].
    pub fragment: u8,
    /// A [`crate::verdict::Outcome`].
    pub outcome: u8,
    /// One of [`crate::flow::state`].
    pub flow: u8,
    /// The number of the rule, or [`RULE_NONE`].
    pub rule: u16,
    /// The class.
    pub class: u16,
    /// Every fault found, those that the policy doesn't look at included.
    pub faults: u32,
}

const _: () = assert!(size_of::<Trace>() == 16);

impl Trace {
    /// In two words, its fields from the lowest bits up, as a function of the kernel program takes
    /// it.
    #[must_use]
    #[inline(always)]
    pub const fn pack(self) -> [u64; 2] {
        [
            self.family as u64
                | (self.has_type as u64) << 8
                | (self.ty as u64) << 16
                | (self.code as u64) << 24
                | (self.checksum as u64) << 32
                | (self.fragment as u64) << 40
                | (self.outcome as u64) << 48
                | (self.flow as u64) << 56,
            self.rule as u64 | (self.class as u64) << 16 | (self.faults as u64) << 32,
        ]
    }

    /// The reverse of [`Trace::pack`].
    #[must_use]
    #[inline(always)]
    pub const fn unpack([what, why]: [u64; 2]) -> Self {
        Self {
            family: what as u8,
            has_type: (what >> 8) as u8,
            ty: (what >> 16) as u8,
            code: (what >> 24) as u8,
            checksum: (what >> 32) as u8,
            fragment: (what >> 40) as u8,
            outcome: (what >> 48) as u8,
            flow: (what >> 56) as u8,
            rule: why as u16,
            class: (why >> 16) as u16,
            faults: (why >> 32) as u32,
        }
    }
}

/// Which sources the bench's front gives to packets, each once before one comes again.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Sweep {
    /// How many there are, less one: a power of two, less one, below 2^24.
    pub mask: u32,
    /// Counts the packets.
    pub next: u32,
    /// The index of the interface that a flood goes to.
    pub interface: u32,
}

/// Names of maps, programs and constants in the object, by which the loader finds them.
pub mod name {
    /// The ingress program.
    pub const INGRESS: &str = "icmpgate_ingress";
    /// The program for what is sent.
    pub const EGRESS: &str = "icmpgate_egress";
    /// One for what is sent that only passes: the floor of the bench.
    pub const EMPTY_EGRESS: &str = "icmpgate_egress_pass";
    /// A program that only passes: likewise.
    pub const EMPTY_PASS: &str = "icmpgate_pass";
    /// A program that only drops: likewise.
    pub const EMPTY_DROP: &str = "icmpgate_drop";
    /// A program for nothing but one echo request: likewise.
    pub const ECHO_FLOOR: &str = "icmpgate_echo_floor";
    /// A program for nothing but traffic that isn't ours: likewise.
    pub const OTHER_FLOOR: &str = "icmpgate_other_floor";
    /// The same of what is sent.
    pub const EGRESS_OTHER_FLOOR: &str = "icmpgate_egress_other_floor";
    /// A program for nothing but a limit by source: likewise.
    pub const SOURCE_FLOOR: &str = "icmpgate_source_floor";
    /// A program that gives each packet another source, and goes on in another: likewise.
    pub const SWEEP_SOURCES: &str = "icmpgate_sweep";
    /// A program that gives each packet another source, and sends it to an interface: likewise.
    pub const FLOOD: &str = "icmpgate_flood";
    /// A program that counts and drops: the floor of a flood.
    pub const COUNTED_DROP: &str = "icmpgate_counted_drop";
    /// One that reads the frame before.
    pub const READ_DROP: &str = "icmpgate_read_drop";

    /// Array of maps, one slot: the policy in force.
    pub const POLICY: &str = "POLICY";
    /// Array of maps, two slots: a [`super::ZoneColumn`] of IPv4 ranges.
    pub const ZONES_V4: &str = "ZONES_V4";
    /// Array of maps, two slots: the columns of IPv6 ranges, by [`super::zone_column`].
    pub const ZONES_V6: &str = "ZONES_V6";
    /// The token buckets: a [`super::Bucket`] for each limit, and for each share and interface.
    pub const BUCKETS: &str = "BUCKETS";
    /// What each limit says and whose it is: [`super::LimitInfo`]. Written by the loader only.
    pub const LIMITS: &str = "LIMITS";
    /// What passed each limit: [`super::LimitCounter`].
    pub const LIMIT_COUNTERS: &str = "LIMIT_COUNTERS";
    /// Token buckets by key: [`super::CellSet`].
    pub const CELLS: &str = "CELLS";
    /// A [`super::CellStats`].
    pub const CELL_STATS: &str = "CELL_STATS";
    /// A [`super::OnLink`].
    pub const ON_LINK: &str = "ON_LINK";
    /// What each interface answers from: [`super::Endpoint`].
    pub const ENDPOINTS: &str = "ENDPOINTS";
    /// Addresses of this machine.
    pub const LOCAL: &str = "LOCAL";
    /// The filter before them: [`crate::local::Filter`].
    pub const LOCAL_FILTER: &str = "LOCAL_FILTER";
    /// Sources that are boxed or suspected: [`crate::penalty::SourceKey`] to
    /// [`crate::penalty::Source`].
    pub const PENALTY_BOX: &str = "PENALTY_BOX";
    /// A [`crate::penalty::Stats`].
    pub const PENALTY_STATS: &str = "PENALTY_STATS";
    /// Hardware addresses of neighbours, by [`crate::mirror::NeighbourKey`].
    pub const NEIGHBOURS: &str = "NEIGHBOURS";
    /// Prefixes to [`crate::mirror::Route`].
    pub const ROUTES: &str = "ROUTES";
    /// Words by [`crate::mirror::word`].
    pub const MIRROR: &str = "MIRROR";
    /// When a [`crate::flow::Request`] was last sent, in the unit of [`crate::bucket`].
    pub const REQUESTS: &str = "REQUESTS";
    /// Groups with their members: [`crate::member::GroupKey`] to [`crate::member::Group`].
    pub const GROUPS: &str = "GROUPS";
    /// Links: [`crate::member::LinkKey`] to [`crate::querier::Link`].
    pub const LINKS: &str = "LINKS";
    /// How many groups there are: see [`super::HELD_WORDS`].
    pub const GROUPS_HELD: &str = "GROUPS_HELD";
    /// Until when a group has members somewhere, by its address, in the unit of [`crate::bucket`].
    pub const REGISTERED: &str = "REGISTERED";
    /// What the policy says has members: [`crate::member::StaticKey`].
    pub const STATIC_GROUPS: &str = "STATIC_GROUPS";
    /// What was kept from links without a member: [`crate::member::GroupKey`] to [`super::Counter`].
    pub const GATED: &str = "GATED";
    /// A [`crate::member::Stats`].
    pub const MEMBER_STATS: &str = "MEMBER_STATS";
    /// What each class stands for.
    pub const CLASS_KEYS: &str = "CLASS_KEYS";
    /// Interfaces by their stable index.
    pub const IFACES: &str = "IFACES";
    /// A [`super::PolicyInfo`].
    pub const POLICY_INFO: &str = "POLICY_INFO";
    /// Maps that all interfaces of an instance share.
    pub const SHARED: [&str; 28] = [
        POLICY,
        ZONES_V4,
        ZONES_V6,
        BUCKETS,
        LIMITS,
        LIMIT_COUNTERS,
        CELLS,
        CELL_STATS,
        ON_LINK,
        ENDPOINTS,
        LOCAL,
        LOCAL_FILTER,
        PENALTY_BOX,
        PENALTY_STATS,
        NEIGHBOURS,
        ROUTES,
        MIRROR,
        REQUESTS,
        GROUPS,
        LINKS,
        GROUPS_HELD,
        REGISTERED,
        STATIC_GROUPS,
        GATED,
        MEMBER_STATS,
        CLASS_KEYS,
        IFACES,
        POLICY_INFO,
    ];

    /// Counters of one interface.
    pub const COUNTERS: &str = "COUNTERS";
    /// Which counter a (class, outcome) of one interface has.
    pub const COUNTER_ROWS: &str = "COUNTER_ROWS";
    /// How many counters of one interface are in use.
    pub const COUNTERS_USED: &str = "COUNTERS_USED";
    /// Maps that each interface has for itself.
    pub const PER_INTERFACE: [&str; 3] = [COUNTERS, COUNTER_ROWS, COUNTERS_USED];

    /// What happened to the last packet; `explain` only.
    pub const TRACE: &str = "TRACE";
    /// A [`super::Sweep`]; the bench only.
    pub const SWEEP: &str = "SWEEP";
    /// Which program comes behind [`SWEEP_SOURCES`]; likewise.
    pub const SWEEP_TO: &str = "SWEEP_TO";
    /// How many packets [`COUNTED_DROP`] and [`READ_DROP`] had, on each CPU; likewise.
    pub const DROPPED: &str = "DROPPED";

    /// Constant, u32: the stable index of the interface.
    pub const INTERFACE_ID: &str = "INTERFACE_ID";
    /// Constant, u32: 1 where each packet's [`super::Trace`] is written.
    pub const TRACING: &str = "TRACING";
    /// Constant, u64: the length of a tick, in the unit of [`crate::bucket`].
    pub const TICK: &str = "TICK";
    /// Constant, u64: what the kernel's count of ticks showed at the start.
    pub const FIRST_TICK: &str = "FIRST_TICK";
    /// Constant, u32: where `tcp_sock` has `snd_una`, in octets; 0 where that isn't known.
    pub const SND_UNA: &str = "SND_UNA";
    /// Constant, u32: likewise `snd_nxt`.
    pub const SND_NXT: &str = "SND_NXT";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_share_has_a_bucket_of_its_own_on_every_interface() {
        let all = (FIRST_SHARE..LIMITS).flat_map(|l| (0..INTERFACES).map(move |i| (l, i)));
        let buckets: Vec<u32> = all.map(|(l, i)| bucket_of_share(l as u32, i as u32)).collect();
        assert!(buckets.iter().copied().eq(LIMITS as u32..BUCKETS as u32));
    }

    #[test]
    fn a_trace_comes_back_from_its_words() {
        let trace = Trace {
            family: 1,
            has_type: 1,
            ty: 0xf2,
            code: 0xf3,
            checksum: 3,
            fragment: 2,
            outcome: 0x7f,
            flow: 3,
            rule: RULE_NONE,
            class: 0x1234,
            faults: 0xf234_5678,
        };
        assert_eq!(Trace::unpack(trace.pack()), trace);
    }
}

//! What becomes of a packet, and why: one table for map, metric and command line.
//!
//! A *verdict* is what the hook does with the frame; a *reason* says why. A reason fixes the
//! verdict that it leads to when enforced; in `observe` mode the verdict is [`Verdict::Pass`] and
//! the reason stays what it would have been. The index of a reason is part of the map schema
//! ([`crate::abi::SCHEMA`]): append, never reorder.
//!
//! Reasons below [`FAULTS`] are *faults*: what parsing and validation find wrong. They are
//! gathered as a bit set, so that a policy can switch each off by name and the first that is left,
//! in the order of the pipeline, names the verdict.

use crate::abi::hook;

/// What the hook does with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Verdict {
    /// The frame goes on to the stack.
    Pass = 0,
    /// The frame is discarded.
    Drop = 1,
    /// The hook answered in the frame's place and sent it back.
    Tx = 2,
}

impl Verdict {
    /// The label used in metrics, JSON and tables.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Drop => "drop",
            Self::Tx => "tx",
        }
    }

    /// The verdict of this number, as functions of the kernel program hand it on.
    #[must_use]
    #[inline(always)]
    pub const fn from_raw(raw: u32) -> Self {
        match raw {
            1 => Self::Drop,
            2 => Self::Tx,
            _ => Self::Pass,
        }
    }
}

/// Whether a verdict was carried out, or only noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Mode {
    /// The verdict was carried out.
    Enforce = 0,
    /// The packet passed; the reason is what it would have had.
    Observe = 1,
}

impl Mode {
    /// The label used in metrics and JSON.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
        }
    }
}

/// How many bits of a fault set are in use: every reason below this index is a fault.
pub const FAULTS: u8 = 32;

/// How many reasons the maps have room for.
pub const REASONS: usize = 64;

/// Why a packet has its verdict: an index into [`TABLE`].
///
/// A newtype and not an enum, because it is read back from maps, where any octet can stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Reason(pub u8);

/// One line of the table of reasons.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The reason.
    pub reason: Reason,
    /// Its label: lower case, hyphens.
    pub label: &'static str,
    /// What is done when it is enforced.
    pub verdict: Verdict,
    /// The rows of the specification it serves.
    pub row: &'static str,
    /// What it means, for `icmpgate reasons`.
    pub meaning: &'static str,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $index:literal, $label:literal, $verdict:ident, $row:literal, $meaning:literal;)+) => {
        impl Reason {
            $(
                #[doc = $meaning]
                pub const $name: Self = Self($index);
            )+
        }

        /// Every reason, in the order of its index.
        pub const TABLE: &[Entry] = &[
            $(Entry { reason: Reason::$name, label: $label, verdict: Verdict::$verdict, row: $row, meaning: $meaning },)+
        ];
    };
}

reasons! {
    IP_VERSION = 0, "ip-version", Drop, "V1 W2", "The IP version field disagrees with the EtherType.";
    IP_HEADER_LENGTH = 1, "ip-header-length", Drop, "V1 W2", "The IPv4 header length is below 20 octets or runs past the packet.";
    IP_TOTAL_LENGTH = 2, "ip-total-length", Drop, "V1 W2", "The IPv4 total length is below the header or beyond the frame, or a fragment ends beyond 65,535 octets (RFC 791 3.2).";
    IP_BAD_CHECKSUM = 3, "ip-bad-checksum", Drop, "V1 W2", "The IPv4 header checksum does not verify.";
    IPV6_PAYLOAD_LENGTH = 4, "ipv6-payload-length", Drop, "V1 W3", "The IPv6 payload length is shorter than the extension headers or beyond the frame, or a fragment ends beyond 65,535 octets (RFC 8200 4.5).";
    EXTENSION_HEADERS_BEYOND_BOUND = 5, "extension-headers-beyond-bound", Drop, "W3", "More IPv6 extension headers than are walked; what is behind them is unknown.";
    FIRST_FRAGMENT_INCOMPLETE = 6, "first-fragment-incomplete", Drop, "W4", "An IPv6 first fragment without its full header chain (RFC 7112).";
    MESSAGE_TOO_SHORT = 7, "message-too-short", Drop, "V1 W5", "The message is shorter than its type requires; of an error in fragments, the first one.";
    MESSAGE_LENGTH = 8, "message-length", Drop, "V1 W8", "The length of the message is none that its type may have.";
    BAD_CHECKSUM = 9, "bad-checksum", Drop, "V1 W10", "The checksum over the whole message does not verify.";
    RECORDS_OVERRUN = 10, "records-overrun", Drop, "V1 W8 W9", "Group records or sources run past the end of the message.";
    RECORDS_BEYOND_BOUND = 11, "records-beyond-bound", Drop, "W8 W9 V7", "More group records, or options of neighbour discovery, than are walked.";
    ERROR_SOURCE = 12, "error-source", Drop, "V1", "An error whose source is loopback, multicast, broadcast, zero or class E.";
    ERROR_DESTINATION = 13, "error-destination", Drop, "V1", "An error sent to a multicast or broadcast address.";
    UNANSWERABLE = 14, "unanswerable", Drop, "V2", "An error whose quote shows a packet that no error may answer (RFC 1122 3.2.2, RFC 4443 2.4(e)).";
    REDIRECT_UNFOUNDED = 15, "redirect-unfounded", Drop, "G5", "A redirect of this machine's own that its routes do not bear out (RFC 1812 5.2.7.2, RFC 4861 8.2).";
    QUOTE_SOURCE = 16, "quote-source", Drop, "V3", "An error about a packet that somebody else sent, or none: its quote has another source than the error's destination, or no header of its family.";
    QUOTE_MTU = 17, "quote-mtu", Drop, "V3", "An error about a packet that is too big, with an MTU that no link has, or that the packet would have fitted (RFC 1191 4, RFC 8201 4).";
    QUOTE_POINTER = 18, "quote-pointer", Drop, "V3", "A parameter problem that points beyond what it is about (RFC 792, RFC 4443 3.4).";
    HOP_LIMIT = 19, "hop-limit", Drop, "V6 V7 V8", "A message for one link alone whose hop limit is not the one that it is sent with, 255 (RFC 4861) or 1 (RFC 9776, RFC 9777, RFC 4286): it may be from elsewhere.";
    ROUTER_ALERT = 20, "router-alert", Drop, "V8", "A membership message without the router alert that it is sent with (RFC 2236 2, RFC 9776 4, RFC 9777 5).";
    DISCOVERY_MESSAGE = 21, "discovery-message", Drop, "V6 V7", "Neighbour discovery with a code, or with an option that has no length or runs past the end (RFC 4861 6.1, 7.1, 8.1).";
    DISCOVERY_ADDRESS = 22, "discovery-address", Drop, "V6 V7", "Neighbour discovery from, to or about an address that it cannot be (RFC 4861 6.1, 7.1, 8.1).";
    FRAGMENTED_DISCOVERY = 23, "fragmented-discovery", Drop, "V7", "Neighbour discovery or a certification path behind a fragment header (RFC 6980 5).";
    ROUTER_ADVERTISEMENT = 24, "router-advertisement", Drop, "V6", "An ICMPv4 router advertisement whose entries are too short, none, or run past its end (RFC 1256 3.1).";
    GROUP_ADDRESS = 25, "group-address", Drop, "V8", "A membership message about what is no group, or sent to where its type does not go (RFC 2236, RFC 9776 4.1.12, 4.2.14).";
    GROUP_SOURCE = 26, "group-source", Drop, "V8", "A membership message from an address that is none of this link (RFC 9776 4.2.13, RFC 9777 5.1.14, 5.2.13).";
    FLOW_CONTRADICTED = 27, "flow-contradicted", Drop, "V4", "An error about a TCP connection of this machine, of octets that it has not in flight (RFC 5927 4.1).";
    REDIRECT_SENDER = 28, "redirect-sender", Drop, "V5", "A redirect that is not from the gateway which this machine now uses for the destination (RFC 1122 3.2.2.2, RFC 4861 8.1).";
    REDIRECT_GATEWAY = 29, "redirect-gateway", Drop, "V5", "A redirect to a gateway that is this machine itself, or on none of the networks of the interface (RFC 1122 3.2.2.2).";
    REDIRECT_ROUTE = 30, "redirect-route", Drop, "V5", "A redirect for a destination that this machine reaches through no gateway.";
    ROUTER_UNLISTED = 31, "router-unlisted", Drop, "V6", "A router advertisement from none of the routers that the policy lists.";
    NOT_ICMP = 32, "not-icmp", Pass, "W1", "Neither ICMP, ICMPv6 nor IGMP: passed untouched.";
    VLAN_TAGS_BEYOND_BOUND = 33, "vlan-tags-beyond-bound", Pass, "W1", "More than two VLAN tags; what is behind them is unknown.";
    ACCEPTED = 34, "accepted", Pass, "P2", "A rule passes it.";
    DENIED = 35, "denied", Drop, "P2", "A rule drops it.";
    WITHIN_LIMIT = 36, "within-limit", Pass, "P2 L1", "A rule limits it, and it is within the limit.";
    OVER_LIMIT = 37, "over-limit", Drop, "P2 L1", "A rule limits it, and it is beyond the limit.";
    REDIRECT_UNVERIFIED = 38, "redirect-unverified", Drop, "V5", "A redirect that could not be held against the routes in use.";
    INTERNAL_ERROR = 39, "internal-error", Pass, "-", "A map operation failed that cannot fail; the packet is passed and counted. Please report it.";
    NOT_RUNNABLE = 40, "not-runnable", Pass, "O5", "Only in explain: this frame could not be run, so no verdict is known.";
    RESERVE_EXCEEDED = 41, "reserve-exceeded", Drop, "L2", "A reserve that no other class draws from is spent.";
    REJECTED = 42, "rejected", Tx, "P2 G3", "A rule answers it with an ICMP error, sent from the hook.";
    REPLIED = 43, "replied", Tx, "P2 G4", "A rule answers the request from the hook.";
    PENALTY_BOX = 44, "penalty-box", Drop, "L3", "Its source kept exceeding the rule's limit, and is dropped for a time.";
    UNKNOWN_FLOW = 45, "unknown-flow", Drop, "V4", "An error about a flow, or an answer to a request, that this machine does not know, under a rule that drops such.";
    NO_MEMBER = 46, "no-member", Drop, "M2", "Multicast to a group that has no member on the link, under a policy that keeps it from there.";
    PRIORITY_TAGS = 47, "priority-tags", Drop, "W1", "More than two VLAN tags, one of the first three of VLAN 0, which Linux takes away: behind them is ICMP, ICMPv6, IGMP, or yet more tags.";
}

impl Reason {
    /// The line of the table, or `None` for an index that no reason has.
    #[must_use]
    pub fn entry(self) -> Option<&'static Entry> {
        TABLE.iter().find(|e| e.reason == self)
    }

    /// The label, or `unknown` for an index that no reason has.
    #[must_use]
    pub fn label(self) -> &'static str {
        self.entry().map_or("unknown", |e| e.label)
    }

    /// The reason with this label.
    #[must_use]
    pub fn from_label(label: &str) -> Option<Self> {
        TABLE.iter().find(|e| e.label == label).map(|e| e.reason)
    }

    /// Whether this is something that parsing or validation found wrong, and so can be set to
    /// `enforce`, `observe` or `off` under `[checks]`.
    #[must_use]
    pub const fn is_fault(self) -> bool {
        self.0 < FAULTS
    }

    /// The bit of this fault in a fault set; 0 where it is none.
    #[must_use]
    #[inline(always)]
    pub const fn bit(self) -> u32 {
        if self.0 < FAULTS { 1 << self.0 } else { 0 }
    }

    /// Its bit where the lowest bit of this is 1, the only one that may be; else 0. Without a branch.
    #[must_use]
    #[inline(always)]
    pub const fn bit_where(self, is: u64) -> u32 {
        self.bit().wrapping_mul(is as u32)
    }

    /// The first fault of a set, in the order of the pipeline. The set must not be empty.
    #[must_use]
    #[inline(always)]
    pub const fn first(faults: u32) -> Self {
        Self(faults.trailing_zeros() as u8)
    }
}

/// The faults that are judged once a packet's rule is known: those that a rule can name, and what this machine's
/// own redirects are held to.
pub const JUDGED: u32 = BY_RULE | Reason::REDIRECT_UNFOUNDED.bit();

/// The faults of rows V2 to V8, which a rule can ask for in transit, and relax.
pub const BY_RULE: u32 = Reason::UNANSWERABLE.bit()
    | Reason::QUOTE_SOURCE.bit()
    | Reason::QUOTE_MTU.bit()
    | Reason::QUOTE_POINTER.bit()
    | Reason::HOP_LIMIT.bit()
    | Reason::ROUTER_ALERT.bit()
    | Reason::DISCOVERY_MESSAGE.bit()
    | Reason::DISCOVERY_ADDRESS.bit()
    | Reason::FRAGMENTED_DISCOVERY.bit()
    | Reason::ROUTER_ADVERTISEMENT.bit()
    | Reason::GROUP_ADDRESS.bit()
    | Reason::GROUP_SOURCE.bit()
    | Reason::ROUTER_UNLISTED.bit()
    | Reason::FLOW_CONTRADICTED.bit()
    | Reason::REDIRECT_SENDER.bit()
    | Reason::REDIRECT_GATEWAY.bit()
    | Reason::REDIRECT_ROUTE.bit();

/// The faults that no frame has by itself: those of rows V4 and V5, which take connections and routes, and of who is
/// listed.
pub const BY_MACHINE: u32 =
    Reason::FLOW_CONTRADICTED.bit() | BY_ROUTES | Reason::ROUTER_UNLISTED.bit();

/// Those of row V5.
pub const BY_ROUTES: u32 =
    Reason::REDIRECT_SENDER.bit() | Reason::REDIRECT_GATEWAY.bit() | Reason::REDIRECT_ROUTE.bit();

/// The faults that can have a packet dropped at a hook. Of what is sent, those that say that it must not
/// be: all else that is odd about it is the stack's doing, and only noted.
#[must_use]
#[inline(always)]
pub const fn enforceable(hook: u8) -> u32 {
    match hook {
        hook::EGRESS => Reason::UNANSWERABLE.bit() | Reason::REDIRECT_UNFOUNDED.bit(),
        // What arrives is no redirect of this machine's own.
        _ => !Reason::REDIRECT_UNFOUNDED.bit(),
    }
}

/// Which reasons, when enforced, drop the packet: bit by index.
///
/// The kernel side asks this instead of walking [`TABLE`].
const DROPS: u64 = with_verdict(Verdict::Drop);
/// Which, when enforced, answer it: likewise.
const ANSWERS: u64 = with_verdict(Verdict::Tx);

const fn with_verdict(verdict: Verdict) -> u64 {
    let mut mask = 0;
    let mut i = 0;
    while i < TABLE.len() {
        if TABLE[i].verdict as u8 == verdict as u8 {
            mask |= 1 << TABLE[i].reason.0;
        }
        i += 1;
    }
    mask
}

/// What a counter counts beside its class: a reason and a mode, packed as an index below
/// [`OUTCOMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Outcome(pub u8);

/// How many outcomes there are room for.
pub const OUTCOMES: usize = REASONS * 2;

impl Outcome {
    /// That of other traffic, which has counters of its own ([`crate::abi::COUNTER_OTHER`]).
    pub const NOT_ICMP: Self = Self::new(Reason::NOT_ICMP, Mode::Enforce);

    /// The outcome of a reason in a mode.
    #[must_use]
    #[inline(always)]
    pub const fn new(reason: Reason, mode: Mode) -> Self {
        Self(((reason.0 << 1) | mode as u8) & (OUTCOMES as u8 - 1))
    }

    /// The reason.
    #[must_use]
    #[inline(always)]
    pub const fn reason(self) -> Reason {
        Reason(self.0 >> 1)
    }

    /// The mode.
    #[must_use]
    #[inline(always)]
    pub const fn mode(self) -> Mode {
        if self.0 & 1 == 0 { Mode::Enforce } else { Mode::Observe }
    }

    /// What is done with the packet.
    #[must_use]
    #[inline(always)]
    pub const fn verdict(self) -> Verdict {
        if self.0 & 1 == 0 { self.would() } else { Verdict::Pass }
    }

    /// What is done with it where the verdict is carried out.
    #[must_use]
    #[inline(always)]
    pub const fn would(self) -> Verdict {
        if DROPS >> (self.0 >> 1) & 1 == 1 {
            Verdict::Drop
        } else if ANSWERS >> (self.0 >> 1) & 1 == 1 {
            Verdict::Tx
        } else {
            Verdict::Pass
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_indices_are_unique_and_fit() {
        for (i, a) in TABLE.iter().enumerate() {
            assert!(usize::from(a.reason.0) < REASONS, "{}", a.label);
            assert_eq!(Reason::from_label(a.label), Some(a.reason));
            assert!(
                a.label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            );
            assert!(a.meaning.ends_with('.'), "{}", a.label);
            for b in &TABLE[i + 1..] {
                assert!(a.reason < b.reason, "{} before {}", a.label, b.label);
                assert_ne!(a.label, b.label);
            }
        }
    }

    #[test]
    fn a_fault_always_drops_when_enforced_and_passes_when_observed() {
        for e in TABLE.iter().filter(|e| e.reason.is_fault()) {
            assert_eq!(
                Outcome::new(e.reason, Mode::Enforce).verdict(),
                Verdict::Drop,
                "{}",
                e.label
            );
            assert_eq!(
                Outcome::new(e.reason, Mode::Observe).verdict(),
                Verdict::Pass,
                "{}",
                e.label
            );
        }
    }

    #[test]
    fn every_fault_is_enforced_at_some_hook() {
        let (ingress, egress) = (enforceable(hook::INGRESS), enforceable(hook::EGRESS));
        for fault in TABLE.iter().filter(|e| e.reason.is_fault()).map(|e| e.reason) {
            let by_hook = [ingress & fault.bit() != 0, egress & fault.bit() != 0];
            let expected = match fault {
                Reason::UNANSWERABLE => [true, true],
                Reason::REDIRECT_UNFOUNDED => [false, true],
                _ => [true, false],
            };
            assert_eq!(by_hook, expected, "{}", fault.label());
        }
    }

    #[test]
    fn an_outcome_gives_back_what_it_was_made_of() {
        for e in TABLE {
            for mode in [Mode::Enforce, Mode::Observe] {
                let o = Outcome::new(e.reason, mode);
                assert_eq!((o.reason(), o.mode()), (e.reason, mode));
                assert!(usize::from(o.0) < OUTCOMES);
            }
        }
    }

    #[test]
    fn an_outcome_has_the_verdict_of_the_table() {
        for e in TABLE {
            let enforced = Outcome::new(e.reason, Mode::Enforce);
            let observed = Outcome::new(e.reason, Mode::Observe);
            assert_eq!(
                (enforced.verdict(), enforced.would()),
                (e.verdict, e.verdict),
                "{}",
                e.label
            );
            assert_eq!((observed.verdict(), observed.would()), (Verdict::Pass, e.verdict));
        }
    }

    #[test]
    fn the_first_fault_is_the_one_found_earliest() {
        let set = Reason::BAD_CHECKSUM.bit() | Reason::IP_TOTAL_LENGTH.bit();
        assert_eq!(Reason::first(set), Reason::IP_TOTAL_LENGTH);
    }
}

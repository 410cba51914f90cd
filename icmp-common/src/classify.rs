//! The one table of names, natures and status of every ICMPv4, ICMPv6 and IGMP type and code.
//!
//! Policy, metrics, command line and kernel program all take them from here, so that a message has
//! one name everywhere and no list can fall behind another. The table follows the IANA registries
//! `icmp-parameters`, `icmpv6-parameters` (with `rpl` for the codes of type 155) and
//! `igmp-type-numbers`; where they name a message in a sentence, the name here is that sentence's
//! own words in lower case with hyphens.
//!
//! Whatever isn't in the table is *unassigned*: it has a [`Description`] all the same, so nothing
//! that the wire can carry is without an answer. A code that isn't assigned is named so, and that
//! is all: nothing here says what becomes of a packet.
//!
//! The second octet of IGMP is a code in version 0 only (RFC 988); elsewhere it holds a time, a
//! count or nothing, and the parser reports code 0. So every other IGMP type has the code 0 and no
//! other, DVMRP and PIM version 1 included, though IANA lists codes for these two.
//!
//! The host side walks the table; the kernel side reads [`TYPE_INFO`] and nothing else.

use crate::abi::family;
use crate::link;
use crate::opaque::opaque;
use Nature::{Control, Error, Query, Reply};
use Status::{Current, Deprecated, Experimental, Reserved};

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Nature {
    /// It reports what became of a packet: the five of ICMPv4 that RFC 1122 3.2.2 lists (3, 4, 5,
    /// 11, 12), and every ICMPv6 type below 128 (RFC 4443 2.1).
    Error,
    /// It asks for an answer.
    Query,
    /// It answers, or could be an answer.
    Reply,
    /// It announces, changes or ends something unasked.
    Control,
}

impl Nature {
    /// The label used in policy, metrics and JSON.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Query => "query",
            Self::Reply => "reply",
            Self::Control => "control",
        }
    }
}

/// Where a type stands in its registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// Assigned.
    Current,
    /// Assigned, and withdrawn since: by RFC 6633, by RFC 6918, or as version 0 of IGMP.
    Deprecated,
    /// Not assigned.
    Unassigned,
    /// Set aside, for no message that exists.
    Reserved,
    /// Set aside for experiments, whose messages no document describes.
    Experimental,
}

impl Status {
    /// The label used in metrics and JSON.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Deprecated => "deprecated",
            Self::Unassigned => "unassigned",
            Self::Reserved => "reserved",
            Self::Experimental => "experimental",
        }
    }
}

/// A code of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeEntry {
    /// The code.
    pub code: u8,
    /// Its name, unique within the type: `[a-z0-9-]+`.
    pub name: &'static str,
    /// What defines it: an RFC, or `IANA` where the registry alone does.
    pub source: &'static str,
}

/// The codes of a type. Every list is in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codes {
    /// None is assigned.
    None,
    /// Only 0, without a name of its own.
    Zero,
    /// These.
    Named(&'static [CodeEntry]),
    /// These, and every code from that of `rest` up to 255, which share its name: version 0 of
    /// IGMP says there in how many seconds to try again.
    Open {
        /// The codes that have names of their own.
        named: &'static [CodeEntry],
        /// The first code of the rest.
        rest: CodeEntry,
    },
    /// The octet holds a value of this name, and no code: all 256 are as good as 0.
    Value(&'static str),
}

/// A type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeEntry {
    /// One of [`family`].
    pub family: u8,
    /// The type.
    pub ty: u8,
    /// Its name, unique within the family: `[a-z0-9-]+`.
    pub name: &'static str,
    /// Its nature.
    pub nature: Nature,
    /// Its status.
    pub status: Status,
    /// The least length of the whole message, from its type on, in octets: at least 4, at most 127.
    pub min_length: u8,
    /// What defines it, and what deprecated it: RFCs, or `IANA` where the registry alone does.
    pub source: &'static str,
    /// Its codes.
    pub codes: Codes,
}

impl TypeEntry {
    /// The codes that [`assigned`] lists, in ascending order.
    fn listed(&self) -> impl Iterator<Item = u8> + use<> {
        let (zero, named): (bool, &'static [CodeEntry]) = match self.codes {
            Codes::None => (false, &[]),
            Codes::Zero | Codes::Value(_) => (true, &[]),
            Codes::Named(named) | Codes::Open { named, .. } => (false, named),
        };
        zero.then_some(0).into_iter().chain(named.iter().map(|c| c.code))
    }
}

/// What is known of a (family, type, code).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    /// The name of the type, or `unassigned`.
    pub type_name: &'static str,
    /// The name of the code, where it has one.
    pub code_name: Option<&'static str>,
    /// The nature of the type.
    pub nature: Nature,
    /// The status of the type.
    pub status: Status,
    /// Whether the type has that code.
    pub code_assigned: bool,
}

/// The name of every type that the table doesn't have.
pub const UNASSIGNED: &str = "unassigned";

/// The least length of a message: type, code and checksum.
const LEAST: u8 = 4;

const fn code(code: u8, name: &'static str, source: &'static str) -> CodeEntry {
    CodeEntry { code, name, source }
}

const fn v4(
    ty: u8,
    name: &'static str,
    nature: Nature,
    status: Status,
    min_length: u8,
    source: &'static str,
    codes: Codes,
) -> TypeEntry {
    TypeEntry { family: family::ICMPV4, ty, name, nature, status, min_length, source, codes }
}

const fn v6(
    ty: u8,
    name: &'static str,
    nature: Nature,
    min_length: u8,
    source: &'static str,
    codes: Codes,
) -> TypeEntry {
    let family = family::ICMPV6;
    TypeEntry { family, ty, name, nature, status: Current, min_length, source, codes }
}

const fn igmp(
    ty: u8,
    name: &'static str,
    nature: Nature,
    status: Status,
    min_length: u8,
    source: &'static str,
    codes: Codes,
) -> TypeEntry {
    TypeEntry { family: family::IGMP, ty, name, nature, status, min_length, source, codes }
}

/// A type that no message has: of [`unassigned_nature`], without codes and of any length.
const fn kept(
    family: u8,
    ty: u8,
    name: &'static str,
    status: Status,
    source: &'static str,
) -> TypeEntry {
    let nature = unassigned_nature(family, ty);
    TypeEntry { family, ty, name, nature, status, min_length: LEAST, source, codes: Codes::None }
}

const V4_UNREACHABLE: &[CodeEntry] = &[
    code(0, "net-unreachable", "RFC 792"),
    code(1, "host-unreachable", "RFC 792"),
    code(2, "protocol-unreachable", "RFC 792"),
    code(3, "port-unreachable", "RFC 792"),
    code(4, "fragmentation-needed", "RFC 792"),
    code(5, "source-route-failed", "RFC 792"),
    code(6, "network-unknown", "RFC 1122"),
    code(7, "host-unknown", "RFC 1122"),
    code(8, "source-host-isolated", "RFC 1122"),
    code(9, "network-prohibited", "RFC 1122"),
    code(10, "host-prohibited", "RFC 1122"),
    code(11, "network-unreachable-for-tos", "RFC 1122"),
    code(12, "host-unreachable-for-tos", "RFC 1122"),
    code(13, "communication-prohibited", "RFC 1812"),
    code(14, "host-precedence-violation", "RFC 1812"),
    code(15, "precedence-cutoff", "RFC 1812"),
];

const V4_REDIRECT: &[CodeEntry] = &[
    code(0, "network-redirect", "RFC 792"),
    code(1, "host-redirect", "RFC 792"),
    code(2, "tos-network-redirect", "RFC 792"),
    code(3, "tos-host-redirect", "RFC 792"),
];

const V4_ALTERNATE_HOST: &[CodeEntry] = &[code(0, "alternate-address-for-host", "RFC 6918")];

const V4_ROUTER_ADVERTISEMENT: &[CodeEntry] = &[
    code(0, "normal", "RFC 1256"),
    // RFC 5944 2.1: a mobility agent that isn't a router for anyone else.
    code(16, "does-not-route-common-traffic", "RFC 5944"),
];

const V4_TIME_EXCEEDED: &[CodeEntry] =
    &[code(0, "ttl-exceeded", "RFC 792"), code(1, "reassembly-time-exceeded", "RFC 792")];

const V4_PARAMETER_PROBLEM: &[CodeEntry] = &[
    code(0, "pointer-indicates-error", "RFC 792"),
    code(1, "missing-required-option", "RFC 1108"),
    code(2, "bad-length", "IANA"),
];

const V4_TRACEROUTE: &[CodeEntry] =
    &[code(0, "forwarded", "RFC 1393"), code(1, "no-route", "RFC 1393")];

const V4_CONVERSION_ERROR: &[CodeEntry] = &[
    code(0, "unspecified-error", "RFC 1475"),
    code(1, "dont-convert-option", "RFC 1475"),
    code(2, "unknown-mandatory-option", "RFC 1475"),
    code(3, "known-unsupported-option", "RFC 1475"),
    code(4, "unsupported-transport-protocol", "RFC 1475"),
    code(5, "overall-length-exceeded", "RFC 1475"),
    code(6, "ip-header-length-exceeded", "RFC 1475"),
    code(7, "transport-protocol-above-255", "RFC 1475"),
    code(8, "port-conversion-out-of-range", "RFC 1475"),
    code(9, "transport-header-length-exceeded", "RFC 1475"),
    code(10, "rollover-missing-and-ack-set", "RFC 1475"),
    code(11, "unknown-mandatory-transport-option", "RFC 1475"),
];

const V4_PHOTURIS: &[CodeEntry] = &[
    code(0, "bad-spi", "RFC 2521"),
    code(1, "authentication-failed", "RFC 2521"),
    code(2, "decompression-failed", "RFC 2521"),
    code(3, "decryption-failed", "RFC 2521"),
    code(4, "need-authentication", "RFC 2521"),
    code(5, "need-authorization", "RFC 2521"),
];

const EXTENDED_ECHO_REQUEST: &[CodeEntry] = &[code(0, "no-error", "RFC 8335")];

const EXTENDED_ECHO_REPLY: &[CodeEntry] = &[
    code(0, "no-error", "RFC 8335"),
    code(1, "malformed-query", "RFC 8335"),
    code(2, "no-such-interface", "RFC 8335"),
    code(3, "no-such-table-entry", "RFC 8335"),
    code(4, "multiple-interfaces-satisfy-query", "RFC 8335"),
];

const V6_UNREACHABLE: &[CodeEntry] = &[
    code(0, "no-route", "RFC 4443"),
    code(1, "communication-prohibited", "RFC 4443"),
    code(2, "beyond-scope-of-source-address", "RFC 4443"),
    code(3, "address-unreachable", "RFC 4443"),
    code(4, "port-unreachable", "RFC 4443"),
    code(5, "source-address-failed-policy", "RFC 4443"),
    code(6, "reject-route", "RFC 4443"),
    code(7, "source-routing-header-error", "RFC 6554"),
    code(8, "headers-too-long", "RFC 8883"),
    code(9, "p-route-error", "RFC 9914"),
];

const V6_TIME_EXCEEDED: &[CodeEntry] =
    &[code(0, "hop-limit-exceeded", "RFC 4443"), code(1, "reassembly-time-exceeded", "RFC 4443")];

const V6_PARAMETER_PROBLEM: &[CodeEntry] = &[
    code(0, "erroneous-header-field", "RFC 4443"),
    code(1, "unrecognized-next-header", "RFC 4443"),
    code(2, "unrecognized-option", "RFC 4443"),
    code(3, "incomplete-header-chain", "RFC 7112"),
    code(4, "sr-upper-layer-header-error", "RFC 8754"),
    code(5, "unrecognized-next-header-by-intermediate-node", "RFC 8883"),
    code(6, "extension-header-too-big", "RFC 8883"),
    code(7, "extension-header-chain-too-long", "RFC 8883"),
    code(8, "too-many-extension-headers", "RFC 8883"),
    code(9, "too-many-options", "RFC 8883"),
    code(10, "option-too-big", "RFC 8883"),
];

const V6_ROUTER_RENUMBERING: &[CodeEntry] = &[
    code(0, "command", "RFC 2894"),
    code(1, "result", "RFC 2894"),
    code(255, "sequence-number-reset", "RFC 2894"),
];

const V6_NODE_INFORMATION_QUERY: &[CodeEntry] = &[
    code(0, "subject-ipv6-address", "RFC 4620"),
    code(1, "subject-name-or-empty", "RFC 4620"),
    code(2, "subject-ipv4-address", "RFC 4620"),
];

const V6_NODE_INFORMATION_RESPONSE: &[CodeEntry] = &[
    code(0, "success", "RFC 4620"),
    code(1, "refused", "RFC 4620"),
    code(2, "unknown-qtype", "RFC 4620"),
];

/// Those of the proxy router advertisement; its solicitation has 0 only (RFC 5568 6.1).
const V6_FMIPV6: &[CodeEntry] = &[
    code(0, "router-information", "RFC 5568"),
    code(1, "network-initiated-handover", "RFC 5568"),
    code(2, "no-new-router-information", "RFC 5568"),
    code(3, "limited-new-router-information", "RFC 5568"),
    code(4, "unsolicited", "RFC 5568"),
];

const V6_RPL: &[CodeEntry] = &[
    code(0x00, "dodag-information-solicitation", "RFC 6550"),
    code(0x01, "dodag-information-object", "RFC 6550"),
    code(0x02, "destination-advertisement-object", "RFC 6550"),
    code(0x03, "destination-advertisement-object-ack", "RFC 6550"),
    code(0x04, "p2p-discovery-reply-object", "RFC 6997"),
    code(0x05, "p2p-discovery-reply-object-ack", "RFC 6997"),
    code(0x06, "measurement-object", "RFC 6998"),
    code(0x07, "destination-cleanup-object", "RFC 9009"),
    code(0x08, "destination-cleanup-object-ack", "RFC 9009"),
    code(0x09, "projected-dao-request", "RFC 9914"),
    code(0x0a, "projected-dao-request-ack", "RFC 9914"),
    code(0x80, "secure-dodag-information-solicitation", "RFC 6550"),
    code(0x81, "secure-dodag-information-object", "RFC 6550"),
    code(0x82, "secure-destination-advertisement-object", "RFC 6550"),
    code(0x83, "secure-destination-advertisement-object-ack", "RFC 6550"),
    code(0x84, "secure-p2p-discovery-reply-object", "RFC 6997"),
    code(0x85, "secure-p2p-discovery-reply-object-ack", "RFC 6997"),
    code(0x86, "secure-measurement-object", "RFC 6998"),
    code(0x87, "secure-destination-cleanup-object", "RFC 9009"),
    code(0x88, "secure-destination-cleanup-object-ack", "RFC 9009"),
    code(0x8a, "consistency-check", "RFC 6550"),
];

/// The suffix, in the low four bits; the prefix in the high four is zero (RFC 8505 4.2).
const V6_DUPLICATE_ADDRESS: &[CodeEntry] = &[
    code(0, "basic", "RFC 6775"),
    code(1, "extended-rovr-64", "RFC 8505"),
    code(2, "extended-rovr-128", "RFC 8505"),
    code(3, "extended-rovr-192", "RFC 8505"),
    code(4, "extended-rovr-256", "RFC 8505"),
];

const IGMP_CREATE_REQUEST: &[CodeEntry] =
    &[code(0, "public", "RFC 988"), code(1, "private", "RFC 988")];

const IGMP_V0_REPLY: Codes = Codes::Open {
    named: &[
        code(0, "request-granted", "RFC 988"),
        code(1, "denied-no-resources", "RFC 988"),
        code(2, "denied-invalid-code", "RFC 988"),
        code(3, "denied-invalid-group-address", "RFC 988"),
        code(4, "denied-invalid-access-key", "RFC 988"),
    ],
    rest: code(5, "request-pending", "RFC 988"),
};

/// Every type that is assigned, deprecated, reserved or experimental, by family and then type in
/// ascending order.
///
/// Each least length has its source in a comment. Where a document leaves room, or says nothing,
/// the smaller stands: a length that is too large would drop what is legitimate.
pub static TYPES: &[TypeEntry] = &[
    // RFC 792, echo: identifier and sequence number.
    v4(0, "echo-reply", Reply, Current, 8, "RFC 792", Codes::Zero),
    // RFC 792: an unused word and the quoted header, of 20 octets at least; so for 4, 5, 11 and 12.
    v4(3, "destination-unreachable", Error, Current, 28, "RFC 792", Codes::Named(V4_UNREACHABLE)),
    v4(4, "source-quench", Error, Deprecated, 28, "RFC 792, 6633", Codes::Zero),
    v4(5, "redirect", Error, Current, 28, "RFC 792", Codes::Named(V4_REDIRECT)),
    // No document has its format; RFC 792 has no message shorter than 8.
    v4(
        6,
        "alternate-host-address",
        Control,
        Deprecated,
        8,
        "RFC 6918",
        Codes::Named(V4_ALTERNATE_HOST),
    ),
    // RFC 792, echo.
    v4(8, "echo-request", Query, Current, 8, "RFC 792", Codes::Zero),
    // RFC 1256 3: the fixed part; the list of addresses is validated with its own counts.
    v4(
        9,
        "router-advertisement",
        Control,
        Current,
        8,
        "RFC 1256",
        Codes::Named(V4_ROUTER_ADVERTISEMENT),
    ),
    // RFC 1256 3: a reserved word.
    v4(10, "router-solicitation", Query, Current, 8, "RFC 1256", Codes::Zero),
    v4(11, "time-exceeded", Error, Current, 28, "RFC 792", Codes::Named(V4_TIME_EXCEEDED)),
    v4(12, "parameter-problem", Error, Current, 28, "RFC 792", Codes::Named(V4_PARAMETER_PROBLEM)),
    // RFC 792, timestamp: identifier, sequence number, three times.
    v4(13, "timestamp", Query, Current, 20, "RFC 792", Codes::Zero),
    v4(14, "timestamp-reply", Reply, Current, 20, "RFC 792", Codes::Zero),
    // RFC 792, information: identifier and sequence number.
    v4(15, "information-request", Query, Deprecated, 8, "RFC 792, 6918", Codes::Zero),
    v4(16, "information-reply", Reply, Deprecated, 8, "RFC 792, 6918", Codes::Zero),
    // RFC 950 appendix I: identifier, sequence number, mask.
    v4(17, "address-mask-request", Query, Deprecated, 12, "RFC 950, 6918", Codes::Zero),
    v4(18, "address-mask-reply", Reply, Deprecated, 12, "RFC 950, 6918", Codes::Zero),
    kept(family::ICMPV4, 19, "reserved-security", Reserved, "IANA"),
    kept(family::ICMPV4, 20, "reserved-robustness-20", Reserved, "IANA"),
    kept(family::ICMPV4, 21, "reserved-robustness-21", Reserved, "IANA"),
    kept(family::ICMPV4, 22, "reserved-robustness-22", Reserved, "IANA"),
    kept(family::ICMPV4, 23, "reserved-robustness-23", Reserved, "IANA"),
    kept(family::ICMPV4, 24, "reserved-robustness-24", Reserved, "IANA"),
    kept(family::ICMPV4, 25, "reserved-robustness-25", Reserved, "IANA"),
    kept(family::ICMPV4, 26, "reserved-robustness-26", Reserved, "IANA"),
    kept(family::ICMPV4, 27, "reserved-robustness-27", Reserved, "IANA"),
    kept(family::ICMPV4, 28, "reserved-robustness-28", Reserved, "IANA"),
    kept(family::ICMPV4, 29, "reserved-robustness-29", Reserved, "IANA"),
    // RFC 1393 2.3: identifier, two hop counts, speed and MTU.
    v4(30, "traceroute", Control, Deprecated, 20, "RFC 1393, 6918", Codes::Named(V4_TRACEROUTE)),
    // RFC 1475: a pointer, then as much of the datagram as there is. It is no error of RFC 1122.
    v4(
        31,
        "datagram-conversion-error",
        Control,
        Deprecated,
        8,
        "RFC 1475, 6918",
        Codes::Named(V4_CONVERSION_ERROR),
    ),
    // 32 to 36 and 39: as 6.
    v4(32, "mobile-host-redirect", Control, Deprecated, 8, "RFC 6918", Codes::Zero),
    v4(33, "ipv6-where-are-you", Query, Deprecated, 8, "RFC 6918", Codes::Zero),
    v4(34, "ipv6-i-am-here", Reply, Deprecated, 8, "RFC 6918", Codes::Zero),
    v4(35, "mobile-registration-request", Query, Deprecated, 8, "RFC 6918", Codes::Zero),
    v4(36, "mobile-registration-reply", Reply, Deprecated, 8, "RFC 6918", Codes::Zero),
    // RFC 1788: identifier and sequence number; in the reply a time to live and any names.
    v4(37, "domain-name-request", Query, Deprecated, 8, "RFC 1788, 6918", Codes::Zero),
    v4(38, "domain-name-reply", Reply, Deprecated, 12, "RFC 1788, 6918", Codes::Zero),
    v4(39, "skip", Control, Deprecated, 8, "RFC 6918", Codes::Zero),
    // RFC 2521 2: a reserved field and a pointer, then what it quotes. It is no error of RFC 1122.
    v4(40, "photuris", Control, Current, 8, "RFC 2521", Codes::Named(V4_PHOTURIS)),
    // RFC 4065 leaves what follows to the protocol.
    v4(41, "experimental-mobility", Control, Current, 4, "RFC 4065", Codes::Zero),
    // RFC 8335 2, 3: identifier, sequence number, flags; the object has its own length.
    v4(
        42,
        "extended-echo-request",
        Query,
        Current,
        8,
        "RFC 8335",
        Codes::Named(EXTENDED_ECHO_REQUEST),
    ),
    v4(43, "extended-echo-reply", Reply, Current, 8, "RFC 8335", Codes::Named(EXTENDED_ECHO_REPLY)),
    kept(family::ICMPV4, 253, "experiment-1", Experimental, "RFC 4727"),
    kept(family::ICMPV4, 254, "experiment-2", Experimental, "RFC 4727"),
    kept(family::ICMPV4, 255, "reserved", Reserved, "IANA"),
    kept(family::ICMPV6, 0, "reserved", Reserved, "IANA"),
    // RFC 4443 3.1 to 3.4: a word, and the quoted header of 40 octets.
    v6(1, "destination-unreachable", Error, 48, "RFC 4443", Codes::Named(V6_UNREACHABLE)),
    v6(2, "packet-too-big", Error, 48, "RFC 4443", Codes::Zero),
    v6(3, "time-exceeded", Error, 48, "RFC 4443", Codes::Named(V6_TIME_EXCEEDED)),
    v6(4, "parameter-problem", Error, 48, "RFC 4443", Codes::Named(V6_PARAMETER_PROBLEM)),
    kept(family::ICMPV6, 100, "private-experimentation-100", Experimental, "RFC 4443"),
    kept(family::ICMPV6, 101, "private-experimentation-101", Experimental, "RFC 4443"),
    kept(family::ICMPV6, 127, "reserved-error-expansion", Reserved, "RFC 4443"),
    // RFC 4443 4.1, 4.2: identifier and sequence number.
    v6(128, "echo-request", Query, 8, "RFC 4443", Codes::Zero),
    v6(129, "echo-reply", Reply, 8, "RFC 4443", Codes::Zero),
    // RFC 2710 3: a delay and the group. Version 2 queries are longer (RFC 9777 5.1).
    v6(130, "multicast-listener-query", Query, 24, "RFC 2710", Codes::Zero),
    v6(131, "multicast-listener-report", Reply, 24, "RFC 2710", Codes::Zero),
    v6(132, "multicast-listener-done", Control, 24, "RFC 2710", Codes::Zero),
    // RFC 4861 6.1.1: 8. 6.1.2: 16. 7.1.1, 7.1.2: 24. 8.1: 40.
    v6(133, "router-solicitation", Query, 8, "RFC 4861", Codes::Zero),
    v6(134, "router-advertisement", Control, 16, "RFC 4861", Codes::Zero),
    v6(135, "neighbor-solicitation", Query, 24, "RFC 4861", Codes::Zero),
    v6(136, "neighbor-advertisement", Reply, 24, "RFC 4861", Codes::Zero),
    v6(137, "redirect", Control, 40, "RFC 4861", Codes::Zero),
    // RFC 2894 3.1: sequence and segment numbers, flags, delay and a reserved word.
    v6(138, "router-renumbering", Control, 16, "RFC 2894", Codes::Named(V6_ROUTER_RENUMBERING)),
    // RFC 4620 4: Qtype, flags and nonce.
    v6(
        139,
        "node-information-query",
        Query,
        16,
        "RFC 4620",
        Codes::Named(V6_NODE_INFORMATION_QUERY),
    ),
    v6(
        140,
        "node-information-response",
        Reply,
        16,
        "RFC 4620",
        Codes::Named(V6_NODE_INFORMATION_RESPONSE),
    ),
    // RFC 3122 2: a reserved word; the options that it requires are left to validation.
    v6(141, "inverse-neighbor-solicitation", Query, 8, "RFC 3122", Codes::Zero),
    v6(142, "inverse-neighbor-advertisement", Reply, 8, "RFC 3122", Codes::Zero),
    // RFC 9777 5.2: the number of records.
    v6(143, "multicast-listener-report-v2", Reply, 8, "RFC 9777", Codes::Zero),
    // RFC 6275 6.5 to 6.8: identifier and reserved or flags.
    v6(144, "home-agent-address-discovery-request", Query, 8, "RFC 6275", Codes::Zero),
    v6(145, "home-agent-address-discovery-reply", Reply, 8, "RFC 6275", Codes::Zero),
    v6(146, "mobile-prefix-solicitation", Query, 8, "RFC 6275", Codes::Zero),
    v6(147, "mobile-prefix-advertisement", Reply, 8, "RFC 6275", Codes::Zero),
    // RFC 3971 6.4.1: identifier and component. 6.4.2 has four octets more; the smaller stands.
    v6(148, "certification-path-solicitation", Query, 8, "RFC 3971", Codes::Zero),
    v6(149, "certification-path-advertisement", Reply, 8, "RFC 3971", Codes::Zero),
    // RFC 4065, as ICMPv4 41.
    v6(150, "experimental-mobility", Control, 4, "RFC 4065", Codes::Zero),
    // RFC 4286 3: the octet of the code is the interval in seconds; query interval and robustness.
    v6(
        151,
        "multicast-router-advertisement",
        Control,
        8,
        "RFC 4286",
        Codes::Value("advertisement-interval"),
    ),
    // RFC 4286 4, 5: nothing but a reserved octet and the checksum.
    v6(152, "multicast-router-solicitation", Query, 4, "RFC 4286", Codes::Zero),
    v6(153, "multicast-router-termination", Control, 4, "RFC 4286", Codes::Zero),
    // RFC 5568 6.1: subtype, reserved octet and identifier.
    v6(154, "fmipv6", Control, 8, "RFC 5568", Codes::Named(V6_FMIPV6)),
    // RFC 6550 6: the base differs by code.
    v6(155, "rpl-control", Control, 4, "RFC 6550", Codes::Named(V6_RPL)),
    // RFC 6743 3: number of locators, operation, reserved.
    v6(156, "ilnpv6-locator-update", Control, 8, "RFC 6743", Codes::Zero),
    // RFC 6775 4.4: status, lifetime, EUI-64 and the address; RFC 8505 4.2 only makes it longer.
    v6(157, "duplicate-address-request", Query, 32, "RFC 6775", Codes::Named(V6_DUPLICATE_ADDRESS)),
    v6(
        158,
        "duplicate-address-confirmation",
        Reply,
        32,
        "RFC 6775",
        Codes::Named(V6_DUPLICATE_ADDRESS),
    ),
    // RFC 7731 6.2: a list, of which no least number is said.
    v6(159, "mpl-control", Control, 4, "RFC 7731", Codes::Zero),
    // RFC 8335 2, 3, as ICMPv4 42 and 43.
    v6(160, "extended-echo-request", Query, 8, "RFC 8335", Codes::Named(EXTENDED_ECHO_REQUEST)),
    v6(161, "extended-echo-reply", Reply, 8, "RFC 8335", Codes::Named(EXTENDED_ECHO_REPLY)),
    kept(family::ICMPV6, 200, "private-experimentation-200", Experimental, "RFC 4443"),
    kept(family::ICMPV6, 201, "private-experimentation-201", Experimental, "RFC 4443"),
    kept(family::ICMPV6, 255, "reserved-informational-expansion", Reserved, "RFC 4443"),
    kept(family::IGMP, 0x00, "reserved", Reserved, "IANA"),
    // RFC 988 appendix I: identifier, group address and an access key of 64 bits.
    igmp(
        0x01,
        "create-group-request",
        Query,
        Deprecated,
        20,
        "RFC 988",
        Codes::Named(IGMP_CREATE_REQUEST),
    ),
    igmp(0x02, "create-group-reply", Reply, Deprecated, 20, "RFC 988", IGMP_V0_REPLY),
    igmp(0x03, "join-group-request", Query, Deprecated, 20, "RFC 988", Codes::Zero),
    igmp(0x04, "join-group-reply", Reply, Deprecated, 20, "RFC 988", IGMP_V0_REPLY),
    igmp(0x05, "leave-group-request", Query, Deprecated, 20, "RFC 988", Codes::Zero),
    igmp(0x06, "leave-group-reply", Reply, Deprecated, 20, "RFC 988", IGMP_V0_REPLY),
    igmp(0x07, "confirm-group-request", Query, Deprecated, 20, "RFC 988", Codes::Zero),
    igmp(0x08, "confirm-group-reply", Reply, Deprecated, 20, "RFC 988", IGMP_V0_REPLY),
    // RFC 1112 appendix I, RFC 2236 2: the group address. RFC 9776 4.1 only adds to it.
    igmp(0x11, "membership-query", Query, Current, 8, "RFC 1112", Codes::Zero),
    igmp(0x12, "membership-report-v1", Reply, Current, 8, "RFC 1112", Codes::Zero),
    // draft-ietf-idmr-dvmrp-v3 3.1, draft-ietf-idmr-pim-spec-02: a word after the checksum.
    igmp(0x13, "dvmrp", Control, Current, 8, "draft-ietf-idmr-dvmrp-v3", Codes::Zero),
    igmp(0x14, "pim-v1", Control, Current, 8, "draft-ietf-idmr-pim-spec", Codes::Zero),
    // No document has its format; no message of RFC 1112 on is shorter than 8 but those of MRD.
    igmp(0x15, "cisco-trace", Control, Current, 8, "IANA", Codes::Zero),
    // RFC 2236 2: the group address.
    igmp(0x16, "membership-report-v2", Reply, Current, 8, "RFC 2236", Codes::Zero),
    igmp(0x17, "leave-group", Control, Current, 8, "RFC 2236", Codes::Zero),
    // draft-ietf-idmr-traceroute-ipm: the group address, and more than that.
    igmp(0x1e, "mtrace-response", Reply, Current, 8, "draft-ietf-idmr-traceroute-ipm", Codes::Zero),
    igmp(0x1f, "mtrace", Query, Current, 8, "draft-ietf-idmr-traceroute-ipm", Codes::Zero),
    // RFC 9776 4.2: the number of records.
    igmp(0x22, "membership-report-v3", Reply, Current, 8, "RFC 9776", Codes::Zero),
    // RFC 4286 3 to 5, as ICMPv6 151 to 153.
    igmp(0x30, "multicast-router-advertisement", Control, Current, 8, "RFC 4286", Codes::Zero),
    igmp(0x31, "multicast-router-solicitation", Query, Current, 4, "RFC 4286", Codes::Zero),
    igmp(0x32, "multicast-router-termination", Control, Current, 4, "RFC 4286", Codes::Zero),
    kept(family::IGMP, 0xf0, "experimentation-240", Experimental, "RFC 9778"),
    kept(family::IGMP, 0xf1, "experimentation-241", Experimental, "RFC 9778"),
    kept(family::IGMP, 0xf2, "experimentation-242", Experimental, "RFC 9778"),
    kept(family::IGMP, 0xf3, "experimentation-243", Experimental, "RFC 9778"),
    kept(family::IGMP, 0xf4, "experimentation-244", Experimental, "RFC 9778"),
    kept(family::IGMP, 0xf5, "experimentation-245", Experimental, "RFC 9778"),
    kept(family::IGMP, 0xf6, "experimentation-246", Experimental, "RFC 9778"),
    kept(family::IGMP, 0xf7, "experimentation-247", Experimental, "RFC 9778"),
    kept(family::IGMP, 0xf8, "experimentation-248", Experimental, "RFC 9778"),
    kept(family::IGMP, 0xf9, "experimentation-249", Experimental, "RFC 9778"),
    kept(family::IGMP, 0xfa, "experimentation-250", Experimental, "RFC 9778"),
    kept(family::IGMP, 0xfb, "experimentation-251", Experimental, "RFC 9778"),
    kept(family::IGMP, 0xfc, "experimentation-252", Experimental, "RFC 9778"),
    kept(family::IGMP, 0xfd, "experimentation-253", Experimental, "RFC 9778"),
    kept(family::IGMP, 0xfe, "experimentation-254", Experimental, "RFC 9778"),
    kept(family::IGMP, 0xff, "experimentation-255", Experimental, "RFC 9778"),
];

/// The nature of a type that no message has: an error for ICMPv6 below 128, because RFC 4443 2.1
/// splits the types so, and control for all else.
#[must_use]
pub const fn unassigned_nature(family: u8, ty: u8) -> Nature {
    if family == family::ICMPV6 && ty < 128 { Error } else { Control }
}

/// The entry of a type; `None` where it is unassigned, or the family none of [`family::ALL`].
#[must_use]
pub fn type_entry(family: u8, ty: u8) -> Option<&'static TypeEntry> {
    TYPES.iter().find(|e| e.family == family && e.ty == ty)
}

/// The name of a type, or [`UNASSIGNED`].
#[must_use]
pub fn type_name(family: u8, ty: u8) -> &'static str {
    type_entry(family, ty).map_or(UNASSIGNED, |e| e.name)
}

/// The name of a code. `None` where it has none: it isn't assigned, or it is the code 0 of a type
/// with no other.
#[must_use]
pub fn code_name(family: u8, ty: u8, code: u8) -> Option<&'static str> {
    match type_entry(family, ty)?.codes {
        Codes::None | Codes::Zero => None,
        Codes::Named(named) => named.iter().find(|c| c.code == code).map(|c| c.name),
        Codes::Open { rest, .. } if code >= rest.code => Some(rest.name),
        Codes::Open { named, .. } => named.iter().find(|c| c.code == code).map(|c| c.name),
        Codes::Value(name) => Some(name),
    }
}

/// Whether receivers must ignore the code of a type: every code is then as good as 0.
///
/// Packet too big (RFC 4443 3.2), MLD (RFC 2710 3.2, RFC 9777 5.1.2 and 5.2.1) and multicast router
/// discovery (RFC 4286 3 to 5), where the octet is reserved or holds an interval.
#[must_use]
pub const fn code_ignored(family: u8, ty: u8) -> bool {
    family == family::ICMPV6 && matches!(ty, 2 | 130..=132 | 143 | 151..=153)
}

/// What is known of a (family, type, code). There is an answer for every one.
#[must_use]
pub fn describe(family: u8, ty: u8, code: u8) -> Description {
    let entry = type_entry(family, ty);
    Description {
        type_name: entry.map_or(UNASSIGNED, |e| e.name),
        code_name: code_name(family, ty, code),
        nature: entry.map_or(unassigned_nature(family, ty), |e| e.nature),
        status: entry.map_or(Status::Unassigned, |e| e.status),
        code_assigned: code_assigned(family, ty, code),
    }
}

/// The type with this name.
#[must_use]
pub fn type_by_name(family: u8, name: &str) -> Option<u8> {
    TYPES.iter().find(|e| e.family == family && e.name == name).map(|e| e.ty)
}

/// The code with this name. A name that stands for many codes ([`Codes::Open`]'s rest,
/// [`Codes::Value`]) gives none.
#[must_use]
pub fn code_by_name(family: u8, ty: u8, name: &str) -> Option<u8> {
    match type_entry(family, ty)?.codes {
        Codes::None | Codes::Zero | Codes::Value(_) => None,
        Codes::Named(named) | Codes::Open { named, .. } => {
            named.iter().find(|c| c.name == name).map(|c| c.code)
        }
    }
}

/// Whether the type has that code. A type that no message has, has none.
#[must_use]
pub fn code_assigned(family: u8, ty: u8, code: u8) -> bool {
    match type_entry(family, ty).map(|e| e.codes) {
        None | Some(Codes::None) => false,
        Some(Codes::Zero) => code == 0,
        Some(Codes::Named(named)) => named.iter().any(|c| c.code == code),
        Some(Codes::Open { named, rest }) => {
            code >= rest.code || named.iter().any(|c| c.code == code)
        }
        Some(Codes::Value(_)) => true,
    }
}

/// Every assigned (family, type, code), in ascending order: what is counted apart.
///
/// Two things are assigned and not listed, because each would mint some 250 counters for one
/// meaning: codes 5 to 255 of the replies of IGMP version 0 ([`Codes::Open`]), and all but 0 where
/// the octet holds a value ([`Codes::Value`]). Reserved and experimental types have no codes, so
/// they aren't listed either.
pub fn assigned() -> impl Iterator<Item = (u8, u8, u8)> {
    TYPES.iter().flat_map(|e| e.listed().map(|code| (e.family, e.ty, code)))
}

/// Bit of [`TYPE_INFO`]: the type is an error message.
pub const INFO_ERROR: u8 = 0x80;
/// Bit of [`TYPE_INFO`]: the type is of those for one link alone: see [`crate::link`].
pub const INFO_LINK: u8 = 0x40;
/// Bits of [`TYPE_INFO`]: the least length of the whole message in octets.
pub const INFO_MIN_LENGTH: u8 = 0x3f;

/// What the kernel side knows of a type, by `(family - 1) * 256 + type`: [`INFO_ERROR`] where its
/// nature is [`Nature::Error`], [`INFO_LINK`] where it has a [`link::kind`], and its least length under
/// [`INFO_MIN_LENGTH`].
pub static TYPE_INFO: [u8; family::COUNT * 256] = type_info();

/// The packed facts of a type: see [`TYPE_INFO`]. 0 for what is of no family.
///
/// The index is opaque to the compiler: it knows that the family is one of three and takes away the
/// bound check that the verifier needs (`R3 min value is outside of the allowed memory range`).
#[must_use]
#[inline(always)]
pub fn facts(family: u8, ty: u8) -> u8 {
    TYPE_INFO.get(type_index(family, ty)).copied().unwrap_or(0)
}

/// The index of a type in the tables kept by family and type, opaque as [`facts`] says.
#[must_use]
#[inline(always)]
pub fn type_index(family: u8, ty: u8) -> usize {
    opaque((family as usize).wrapping_sub(1) * 256 + ty as usize)
}

/// Whether a type's nature is [`Nature::Error`].
#[must_use]
#[inline(always)]
pub fn is_error(family: u8, ty: u8) -> bool {
    facts(family, ty) & INFO_ERROR != 0
}

const fn info(nature: Nature, min_length: u8) -> u8 {
    assert!(min_length >= LEAST && min_length <= INFO_MIN_LENGTH);
    if matches!(nature, Error) { min_length | INFO_ERROR } else { min_length }
}

/// Runs in the compiler only, where its assertions are errors.
const fn type_info() -> [u8; family::COUNT * 256] {
    let mut table = [0; family::COUNT * 256];
    let mut i = 0;
    while i < table.len() {
        let family = (i / 256) as u8 + 1;
        table[i] = info(unassigned_nature(family, (i % 256) as u8), LEAST);
        i += 1;
    }
    let mut i = 0;
    while i < TYPES.len() {
        let entry = TYPES[i];
        table[(entry.family as usize - 1) * 256 + entry.ty as usize] =
            info(entry.nature, entry.min_length);
        i += 1;
    }
    i = 0;
    while i < table.len() {
        if link::kind((i / 256) as u8 + 1, (i % 256) as u8).is_some() {
            table[i] |= INFO_LINK;
        }
        i += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::family::{ICMPV4, ICMPV6, IGMP};
    use crate::abi::{CLASS_FIRST_PAIR, CLASSES};
    use std::collections::BTreeSet;

    fn all_types() -> impl Iterator<Item = (u8, u8)> {
        family::ALL.into_iter().flat_map(|f| (0..=255).map(move |t| (f, t)))
    }

    fn is_name(name: &str) -> bool {
        !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }

    fn named(e: &TypeEntry) -> Vec<CodeEntry> {
        match e.codes {
            Codes::None | Codes::Zero => vec![],
            Codes::Named(named) => named.to_vec(),
            Codes::Open { named, rest } => [named, &[rest]].concat(),
            Codes::Value(name) => vec![code(0, name, e.source)],
        }
    }

    #[test]
    fn the_table_is_in_order_and_its_names_are_unique() {
        assert!(TYPES.windows(2).all(|w| (w[0].family, w[0].ty) < (w[1].family, w[1].ty)));
        let mut types = BTreeSet::new();
        for e in TYPES {
            assert!(family::ALL.contains(&e.family));
            assert!(is_name(e.name) && e.name != UNASSIGNED, "{}", e.name);
            assert!(types.insert((e.family, e.name)), "{}", e.name);
            assert!(!e.source.is_empty(), "{}", e.name);
            assert_ne!(e.status, Status::Unassigned, "{}", e.name);
            let codes = named(e);
            assert!(codes.windows(2).all(|w| w[0].code < w[1].code), "{}", e.name);
            let names: BTreeSet<_> = codes.iter().map(|c| c.name).collect();
            assert_eq!(names.len(), codes.len(), "{}", e.name);
            for c in codes {
                assert!(is_name(c.name) && !c.source.is_empty(), "{} {}", e.name, c.name);
            }
        }
    }

    #[test]
    fn a_name_and_a_number_cannot_be_taken_for_each_other() {
        for e in TYPES {
            assert!(e.name.parse::<u64>().is_err());
            assert!(named(e).iter().all(|c| c.name.parse::<u64>().is_err()));
        }
    }

    #[test]
    fn what_is_set_aside_has_no_codes_and_the_rest_has_some() {
        for e in TYPES {
            let aside = matches!(e.status, Reserved | Experimental);
            assert_eq!(e.codes == Codes::None, aside, "{}", e.name);
            assert_eq!(e.listed().count() == 0, aside, "{}", e.name);
            assert!(!aside || e.min_length == LEAST, "{}", e.name);
        }
    }

    #[test]
    fn every_type_and_code_is_described_as_the_table_says() {
        for (family, ty) in all_types() {
            let entry = type_entry(family, ty);
            for code in 0..=255 {
                let d = describe(family, ty, code);
                assert_eq!(d.type_name, type_name(family, ty));
                assert_eq!(d.code_name, code_name(family, ty, code));
                assert_eq!(d.code_assigned, code_assigned(family, ty, code));
                // A code with a name is assigned; one without is assigned only as a lone 0.
                match d.code_name {
                    Some(_) => assert!(d.code_assigned),
                    None => assert_eq!(
                        d.code_assigned,
                        code == 0 && entry.is_some_and(|e| e.codes == Codes::Zero)
                    ),
                }
                match entry {
                    Some(e) => {
                        assert_eq!((d.type_name, d.nature, d.status), (e.name, e.nature, e.status));
                    }
                    None => {
                        assert_eq!((d.type_name, d.status), (UNASSIGNED, Status::Unassigned));
                        assert_eq!(d.nature, unassigned_nature(family, ty));
                        assert!(!d.code_assigned);
                    }
                }
            }
        }
    }

    #[test]
    fn a_family_that_is_not_ours_has_nothing() {
        for family in [family::NONE, 4, 255] {
            for ty in 0..=255 {
                let d = describe(family, ty, 0);
                assert_eq!((d.type_name, d.status), (UNASSIGNED, Status::Unassigned));
                assert_eq!((d.nature, d.code_name, d.code_assigned), (Control, None, false));
            }
            assert_eq!(type_by_name(family, "echo-request"), None);
            assert_eq!(code_by_name(family, 3, "net-unreachable"), None);
        }
    }

    #[test]
    fn names_lead_back_to_their_numbers() {
        for (family, ty) in all_types() {
            match type_entry(family, ty) {
                Some(e) => assert_eq!(type_by_name(family, e.name), Some(ty), "{}", e.name),
                None => assert_eq!(type_name(family, ty), UNASSIGNED),
            }
            for code in 0..=255 {
                let Some(name) = code_name(family, ty, code) else { continue };
                let shared = match type_entry(family, ty).unwrap().codes {
                    Codes::Open { rest, .. } => code >= rest.code,
                    Codes::Value(_) => true,
                    _ => false,
                };
                let expected = if shared { None } else { Some(code) };
                assert_eq!(code_by_name(family, ty, name), expected, "{name}");
            }
        }
        for family in family::ALL {
            assert_eq!(type_by_name(family, UNASSIGNED), None);
            assert_eq!(type_by_name(family, ""), None);
        }
    }

    #[test]
    fn the_assigned_are_listed_once_in_order_and_fit_the_classes() {
        let list: Vec<_> = assigned().collect();
        assert!(list.windows(2).all(|w| w[0] < w[1]));
        assert!(list.len() <= 400, "{}", list.len());
        // Rules that name unassigned pairs need room too.
        assert!(list.len() + usize::from(CLASS_FIRST_PAIR) < CLASSES);
        assert!(list.iter().all(|&(family, ty, code)| code_assigned(family, ty, code)));

        let listed: BTreeSet<_> = list.into_iter().collect();
        for (family, ty) in all_types() {
            for code in 0..=255 {
                let left_out = match type_entry(family, ty).map(|e| e.codes) {
                    Some(Codes::Open { rest, .. }) => code >= rest.code,
                    Some(Codes::Value(_)) => code != 0,
                    _ => false,
                };
                assert_eq!(
                    listed.contains(&(family, ty, code)),
                    code_assigned(family, ty, code) && !left_out,
                    "{family} {ty} {code}"
                );
            }
        }
    }

    #[test]
    fn the_kernel_table_agrees() {
        for (family, ty) in all_types() {
            let packed = TYPE_INFO[(usize::from(family) - 1) * 256 + usize::from(ty)];
            let d = describe(family, ty, 0);
            assert_eq!(packed & INFO_ERROR != 0, d.nature == Error, "{family} {ty}");
            let min_length = type_entry(family, ty).map_or(LEAST, |e| e.min_length);
            assert_eq!(packed & INFO_MIN_LENGTH, min_length, "{family} {ty}");
        }
    }

    #[test]
    fn errors_are_those_of_rfc_1122_and_rfc_4443() {
        for (family, ty) in all_types() {
            let error = match family {
                ICMPV4 => matches!(ty, 3 | 4 | 5 | 11 | 12),
                ICMPV6 => ty < 128,
                _ => false,
            };
            assert_eq!(describe(family, ty, 0).nature == Error, error, "{family} {ty}");
        }
    }

    #[test]
    fn least_lengths() {
        for (family, ty, length) in [
            (ICMPV4, 0u8, 8),
            (ICMPV4, 3, 28),
            (ICMPV4, 5, 28),
            (ICMPV4, 8, 8),
            (ICMPV4, 9, 8),
            (ICMPV4, 13, 20),
            (ICMPV4, 17, 12),
            (ICMPV4, 30, 20),
            (ICMPV4, 42, 8),
            (ICMPV4, 1, 4),
            (ICMPV4, 25, 4),
            (ICMPV4, 253, 4),
            (ICMPV6, 2, 48),
            (ICMPV6, 5, 4),
            (ICMPV6, 128, 8),
            (ICMPV6, 130, 24),
            (ICMPV6, 133, 8),
            (ICMPV6, 134, 16),
            (ICMPV6, 136, 24),
            (ICMPV6, 137, 40),
            (ICMPV6, 143, 8),
            (ICMPV6, 153, 4),
            (ICMPV6, 157, 32),
            (ICMPV6, 199, 4),
            (IGMP, 0x02, 20),
            (IGMP, 0x11, 8),
            (IGMP, 0x22, 8),
            (IGMP, 0x31, 4),
            (IGMP, 0x99, 4),
        ] {
            let packed = TYPE_INFO[(usize::from(family) - 1) * 256 + usize::from(ty)];
            assert_eq!(packed & INFO_MIN_LENGTH, length, "{family} {ty}");
        }
    }

    #[test]
    fn types_and_codes_of_the_registries() {
        for (family, ty, code, type_name, code_name) in [
            (ICMPV4, 0, 0, "echo-reply", None),
            (ICMPV4, 3, 0, "destination-unreachable", Some("net-unreachable")),
            (ICMPV4, 3, 3, "destination-unreachable", Some("port-unreachable")),
            (ICMPV4, 3, 4, "destination-unreachable", Some("fragmentation-needed")),
            (ICMPV4, 3, 13, "destination-unreachable", Some("communication-prohibited")),
            (ICMPV4, 3, 15, "destination-unreachable", Some("precedence-cutoff")),
            (ICMPV4, 4, 0, "source-quench", None),
            (ICMPV4, 5, 1, "redirect", Some("host-redirect")),
            (ICMPV4, 6, 0, "alternate-host-address", Some("alternate-address-for-host")),
            (ICMPV4, 8, 0, "echo-request", None),
            (ICMPV4, 9, 16, "router-advertisement", Some("does-not-route-common-traffic")),
            (ICMPV4, 10, 0, "router-solicitation", None),
            (ICMPV4, 11, 0, "time-exceeded", Some("ttl-exceeded")),
            (ICMPV4, 12, 2, "parameter-problem", Some("bad-length")),
            (ICMPV4, 14, 0, "timestamp-reply", None),
            (ICMPV4, 15, 0, "information-request", None),
            (ICMPV4, 18, 0, "address-mask-reply", None),
            (
                ICMPV4,
                31,
                11,
                "datagram-conversion-error",
                Some("unknown-mandatory-transport-option"),
            ),
            (ICMPV4, 40, 5, "photuris", Some("need-authorization")),
            (ICMPV4, 42, 0, "extended-echo-request", Some("no-error")),
            (ICMPV4, 43, 3, "extended-echo-reply", Some("no-such-table-entry")),
            (ICMPV6, 1, 0, "destination-unreachable", Some("no-route")),
            (ICMPV6, 1, 7, "destination-unreachable", Some("source-routing-header-error")),
            (ICMPV6, 1, 8, "destination-unreachable", Some("headers-too-long")),
            (ICMPV6, 1, 9, "destination-unreachable", Some("p-route-error")),
            (ICMPV6, 2, 0, "packet-too-big", None),
            (ICMPV6, 3, 1, "time-exceeded", Some("reassembly-time-exceeded")),
            (ICMPV6, 4, 3, "parameter-problem", Some("incomplete-header-chain")),
            (ICMPV6, 4, 10, "parameter-problem", Some("option-too-big")),
            (ICMPV6, 128, 0, "echo-request", None),
            (ICMPV6, 130, 0, "multicast-listener-query", None),
            (ICMPV6, 135, 0, "neighbor-solicitation", None),
            (ICMPV6, 137, 0, "redirect", None),
            (ICMPV6, 138, 255, "router-renumbering", Some("sequence-number-reset")),
            (ICMPV6, 139, 2, "node-information-query", Some("subject-ipv4-address")),
            (ICMPV6, 140, 1, "node-information-response", Some("refused")),
            (ICMPV6, 143, 0, "multicast-listener-report-v2", None),
            (ICMPV6, 151, 20, "multicast-router-advertisement", Some("advertisement-interval")),
            (ICMPV6, 155, 1, "rpl-control", Some("dodag-information-object")),
            (ICMPV6, 155, 0x8a, "rpl-control", Some("consistency-check")),
            (ICMPV6, 158, 4, "duplicate-address-confirmation", Some("extended-rovr-256")),
            (ICMPV6, 161, 4, "extended-echo-reply", Some("multiple-interfaces-satisfy-query")),
            (IGMP, 0x01, 1, "create-group-request", Some("private")),
            (IGMP, 0x04, 4, "join-group-reply", Some("denied-invalid-access-key")),
            (IGMP, 0x08, 5, "confirm-group-reply", Some("request-pending")),
            (IGMP, 0x08, 255, "confirm-group-reply", Some("request-pending")),
            (IGMP, 0x11, 0, "membership-query", None),
            (IGMP, 0x16, 0, "membership-report-v2", None),
            (IGMP, 0x17, 0, "leave-group", None),
            (IGMP, 0x22, 0, "membership-report-v3", None),
            (IGMP, 0x30, 0, "multicast-router-advertisement", None),
        ] {
            let d = describe(family, ty, code);
            assert_eq!((d.type_name, d.code_name), (type_name, code_name));
            assert!(d.code_assigned, "{type_name} {code}");
        }
    }

    #[test]
    fn codes_outside_the_assigned_ranges_are_named_so() {
        for (family, ty, codes) in [
            (ICMPV4, 3, &[0..=15][..]),
            (ICMPV4, 4, &[0..=0]),
            (ICMPV4, 5, &[0..=3]),
            (ICMPV4, 9, &[0..=0, 16..=16]),
            (ICMPV4, 11, &[0..=1]),
            (ICMPV4, 12, &[0..=2]),
            (ICMPV4, 40, &[0..=5]),
            (ICMPV4, 42, &[0..=0]),
            (ICMPV4, 43, &[0..=4]),
            (ICMPV6, 1, &[0..=9]),
            (ICMPV6, 2, &[0..=0]),
            (ICMPV6, 3, &[0..=1]),
            (ICMPV6, 4, &[0..=10]),
            (ICMPV6, 138, &[0..=1, 255..=255]),
            (ICMPV6, 139, &[0..=2]),
            (ICMPV6, 140, &[0..=2]),
            (ICMPV6, 151, &[0..=255]),
            (ICMPV6, 155, &[0..=10, 0x80..=0x88, 0x8a..=0x8a]),
            (ICMPV6, 157, &[0..=4]),
            (ICMPV6, 158, &[0..=4]),
            (ICMPV6, 160, &[0..=0]),
            (ICMPV6, 161, &[0..=4]),
            (IGMP, 0x01, &[0..=1]),
            (IGMP, 0x02, &[0..=255]),
            (IGMP, 0x03, &[0..=0]),
            (IGMP, 0x11, &[0..=0]),
        ] {
            for code in 0..=255u8 {
                let expected = codes.iter().any(|r| r.contains(&code));
                assert_eq!(code_assigned(family, ty, code), expected, "{family} {ty} {code}");
            }
        }
    }

    #[test]
    fn status_of_each_type() {
        for (family, ty) in all_types() {
            let expected = match (family, ty) {
                (ICMPV4, 4 | 6 | 15..=18 | 30..=39) => Deprecated,
                (ICMPV4, 19..=29 | 255) => Reserved,
                (ICMPV4, 253 | 254) => Experimental,
                (ICMPV4, 0 | 3 | 5 | 8..=14 | 40..=43) => Current,
                (ICMPV6, 0 | 127 | 255) => Reserved,
                (ICMPV6, 100 | 101 | 200 | 201) => Experimental,
                (ICMPV6, 1..=4 | 128..=161) => Current,
                (IGMP, 0x00) => Reserved,
                (IGMP, 0x01..=0x08) => Deprecated,
                (IGMP, 0x11..=0x17 | 0x1e | 0x1f | 0x22 | 0x30..=0x32) => Current,
                (IGMP, 0xf0..) => Experimental,
                _ => Status::Unassigned,
            };
            assert_eq!(describe(family, ty, 0).status, expected, "{family} {ty}");
        }
    }

    #[test]
    fn labels_differ() {
        let natures = [Error, Query, Reply, Control].map(Nature::label);
        assert_eq!(BTreeSet::from(natures).len(), natures.len());
        let status =
            [Current, Deprecated, Status::Unassigned, Reserved, Experimental].map(Status::label);
        assert_eq!(BTreeSet::from(status).len(), status.len());
    }
}

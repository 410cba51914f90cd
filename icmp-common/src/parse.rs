//! Frame to [`Packet`]: composes [`crate::wire`], and gathers what is wrong on the way.
//!
//! What isn't ours leaves at once, before anything of it is judged. What is ours is read as far as
//! it can be, even where something is already wrong with it: the faults are a set, so that a policy
//! may look away from one of them, and `explain` can say all.

use core::mem::offset_of;

use crate::abi::{checksum, family, fragment};
use crate::classify::{self, INFO_MIN_LENGTH};
use crate::cursor::Cursor;
use crate::verdict::Reason;
use crate::wire::{
    checksum::pseudo_header,
    ethernet, igmp, ipv4, ipv6,
    ipv6::{Address, Chain},
    mld::{self, Records},
    nd,
};
use core::hint::black_box;

/// A frame, wherever its octets lie: a slice on the host, the linear area and the fragments of an
/// XDP buffer in the kernel.
pub trait Frame {
    /// Whether it came from a wire, so that the checksum of its IP header has to be verified.
    const FROM_WIRE: bool = true;
    /// The part that can be read directly, from the link-layer header on.
    fn cursor(&self) -> Cursor<'_>;
    /// Whether the whole frame has at least this many octets.
    fn holds(&self, octets: u32) -> bool;
    /// The one's complement sum of `length` octets from `offset` of the whole frame, in the
    /// machine's order; `None` where the frame doesn't have them. `offset` and `length` are below
    /// 2^17.
    fn sum(&self, offset: u32, length: u32) -> Option<u64>;
    /// Zero; in the kernel, one that the verifier doesn't know to be zero: see [`Packet::fault`].
    fn zero(&self) -> u32 {
        0
    }
    /// Walks the IPv6 extension headers at `offset`: see [`ipv6::walk`].
    fn extension_headers(&self, offset: u32, next_header: u8) -> Chain {
        ipv6::walk(self.cursor().skip(offset), next_header, self.zero())
    }
    /// Whether the IPv4 options at `offset` have a source route: see [`ipv4::source_routed`].
    fn source_routed(&self, offset: u32, length: u32) -> bool {
        ipv4::source_routed(self.cursor().skip(offset), length)
    }
    /// Whether the IPv4 options at `offset` have a router alert: see [`ipv4::alerts_routers`].
    fn alerts_routers(&self, offset: u32, length: u32) -> bool {
        ipv4::alerts_routers(self.cursor().skip(offset), length)
    }
    /// Walks the options of neighbour discovery at `offset`: see [`nd::options`].
    fn options(&self, offset: u32, length: u32) -> nd::Options {
        let options = self.cursor().skip(offset);
        nd::options(length, |walk| nd::some_options(options, length, walk))
    }
    /// Walks the group records of the report at `offset`, which has `length` octets; `address` is the length of group
    /// and source. See [`mld::records`].
    fn records(&self, offset: u32, length: u32, address: u32) -> Records {
        let message = self.cursor().skip(offset);
        mld::records(message, |walk| mld::some_records(message, length, address, walk))
    }
}

impl Frame for [u8] {
    fn cursor(&self) -> Cursor<'_> {
        Cursor::new(self)
    }

    fn holds(&self, octets: u32) -> bool {
        self.len() >= octets as usize
    }

    fn sum(&self, offset: u32, length: u32) -> Option<u64> {
        let octets = self.get(offset as usize..)?.get(..length as usize)?;
        Some(crate::wire::checksum::sum(octets))
    }
}

/// What is looked at of a packet beside what all have looked at.
pub mod stage {
    /// Nothing.
    pub const NONE: u8 = 0;
    /// It is an error: what it quotes.
    pub const ERROR: u8 = 1;
    /// It is for one link alone: see [`crate::link`].
    pub const LINK: u8 = 2;
}

/// A packet of ours, as far as it could be read. 64 octets, each of them a field's, as the kernel program
/// hands it from function to function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Packet {
    /// One of [`family`], not `NONE`.
    pub family: u8,
    /// One of [`fragment`].
    pub fragment: u8,
    /// Whether type and code were read.
    pub has_type: bool,
    /// The type.
    pub ty: u8,
    /// The code: 0 for IGMP but in version 0.
    pub code: u8,
    /// What its type has looked at besides, one of [`stage`]; known once it is validated.
    pub stage: u8,
    /// One of [`checksum`].
    pub checksum: u8,
    /// Zero.
    pub pad: u8,
    /// Where the message begins in the frame.
    pub offset: u32,
    /// The octets of the message, by the lengths that IP states; of a fragment, its part.
    pub length: u32,
    /// What the pseudo-header adds to the message's sum; 0 for IPv4.
    pub pseudo: u64,
    /// The source; IPv4 in mapped form.
    pub source: Address,
    /// The destination; IPv4 in mapped form.
    pub destination: Address,
    /// What is wrong with it: [`Reason::bit`]s.
    pub faults: u32,
    /// [`Frame::zero`].
    pub zero: u32,
}

const _: () = assert!(size_of::<Packet>() == 64);

/// More than where a message begins: behind Ethernet, IPv6 and eight extension headers, 16,446 octets.
const MAX_OFFSET: u32 = 0x7fff;

impl Packet {
    /// Makes it one of a family of which nothing else is read. Not by a structure whose fields are zero: of
    /// those the compiler makes calls of a function that sets octet by octet.
    #[inline(always)]
    pub(crate) fn begin(&mut self, family: u8, zero: u32) {
        const _: () = assert!(offset_of!(Packet, family) == 0 && offset_of!(Packet, offset) == 8);
        let head = u64::from_ne_bytes([family, fragment::NONE, 0, 0, 0, 0, checksum::ABSENT, 0]);
        // SAFETY: the first 8 octets are those fields, and a structure of words is aligned for one.
        unsafe { core::ptr::from_mut(self).cast::<u64>().write(head) };
        self.pseudo = zero.into();
        self.faults = zero;
        self.zero = zero;
    }

    /// Notes a fault.
    ///
    /// The verifier follows constants: each of the hundreds of sets that the paths through parser
    /// and checks can end in would be a state of its own to it, and all that follows verified again
    /// for each. With a zero that it doesn't know mixed in, a set is a set.
    #[inline(always)]
    pub const fn fault(&mut self, reason: Reason) {
        self.faults |= reason.bit() ^ self.zero;
    }

    /// The index of its type in the tables kept by family and type: see [`classify::type_index`].
    #[must_use]
    #[inline(always)]
    pub fn type_index(&self) -> usize {
        classify::type_index(self.family, self.ty)
    }

    /// The packed facts of its type: see [`classify::TYPE_INFO`].
    #[must_use]
    #[inline(always)]
    pub fn type_info(&self) -> u8 {
        classify::facts(self.family, self.ty)
    }

    /// Its message in its frame. The offset is masked since it may come from memory, of which the verifier
    /// knows nothing; no message begins as far behind as that.
    #[inline(always)]
    pub fn message<'a, F: Frame + ?Sized>(&self, frame: &'a F) -> Cursor<'a> {
        frame.cursor().skip(self.offset & MAX_OFFSET)
    }

    /// Whether it is a whole message whose header was read.
    #[must_use]
    #[inline(always)]
    pub const fn is_whole(&self) -> bool {
        self.has_type && self.fragment == fragment::NONE
    }
}

/// An IP packet that may be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Whether it is IPv6.
    pub is_v6: bool,
    /// Where it begins in the frame: at most [`ethernet::LONGEST`].
    pub start: u32,
}

/// All bits that [`Candidate::start`] may have.
const START: u32 = 0x1f;
const _: () = assert!(ethernet::LONGEST <= START);

impl Candidate {
    /// The same, of whose start the verifier knows nothing but that it lies below 32: it would follow each number of
    /// tags on its own.
    ///
    /// A mask, and opaque: 6.1 forgets a comparison where the number is copied, or kept on the stack while the frame is
    /// got (`R3 offset is outside of the packet`).
    #[must_use]
    #[inline(always)]
    pub fn anywhere(self) -> Self {
        Self { start: black_box(self.start) & START, ..self }
    }
}

/// A frame that isn't ours, as little of it as was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Other {
    /// Why it isn't: [`Reason::NOT_ICMP`], [`Reason::VLAN_TAGS_BEYOND_BOUND`] or [`Reason::PRIORITY_TAGS`].
    pub reason: Reason,
    /// Where in the frame its IP packet ends by its own account; 0 where there is none.
    pub end: u32,
    /// Whether the frame goes to a group of stations.
    pub to_group: bool,
}

/// Reads a frame. `Err` is the reason why it isn't ours.
///
/// # Errors
/// [`Reason::NOT_ICMP`] and [`Reason::VLAN_TAGS_BEYOND_BOUND`]: the frame is to be passed. [`Reason::PRIORITY_TAGS`]: it
/// isn't.
#[inline(always)]
pub fn parse<F: Frame + ?Sized>(frame: &F) -> Result<Packet, Reason> {
    let candidate = find(frame).map_err(|other| other.reason)?;
    let mut packet = Packet::default();
    read(frame, candidate, &mut packet)?;
    Ok(packet)
}

/// Reads as little of a frame as tells nearly all that isn't ours: the first step of [`parse`].
///
/// # Errors
/// As [`parse`].
#[inline(always)]
pub fn find<F: Frame + ?Sized>(frame: &F) -> Result<Candidate, Other> {
    let mut cursor = frame.cursor();
    let Some(ethernet) = ethernet::take(&mut cursor) else {
        return Err(Other { reason: Reason::NOT_ICMP, end: 0, to_group: false });
    };
    let to_group = ethernet.to_group;
    let not_icmp = |end| Err(Other { reason: Reason::NOT_ICMP, end, to_group });
    let start = ethernet.length;
    // A frame that ends before its protocol field can't be told to be ours.
    let is_v6 = match ethernet.ether_type {
        ethernet::IPV4 => match ipv4::take(&mut cursor) {
            Some(ip) if is_ours_v4(ip.protocol) => false,
            Some(ip) => return not_icmp(start + ip.total_length),
            None => return not_icmp(0),
        },
        ethernet::IPV6 => match ipv6::take(&mut cursor) {
            Some(ip) if may_be_ours_v6(ip.next_header) => true,
            Some(ip) => return not_icmp(start + ipv6::HEADER + ip.payload_length),
            None => return not_icmp(0),
        },
        _ if ethernet::beyond_bound(ethernet) => {
            let reason = if F::FROM_WIRE && may_be_ours_behind(frame) {
                Reason::PRIORITY_TAGS
            } else {
                Reason::VLAN_TAGS_BEYOND_BOUND
            };
            return Err(Other { reason, end: 0, to_group });
        }
        _ => return not_icmp(0),
    };
    Ok(Candidate { is_v6, start })
}

/// Whether behind more tags than are looked behind there may be a packet of ours that reaches the stack all the same.
#[inline(always)]
fn may_be_ours_behind<F: Frame + ?Sized>(frame: &F) -> bool {
    let Some((ether_type, mut cursor)) = ethernet::behind_priority(frame.cursor()) else {
        return false;
    };
    match ether_type {
        ethernet::IPV4 => ipv4::take(&mut cursor).is_some_and(|ip| is_ours_v4(ip.protocol)),
        ethernet::IPV6 => ipv6::take(&mut cursor).is_some_and(|ip| may_be_ours_v6(ip.next_header)),
        _ => ethernet::is_tag(ether_type),
    }
}

#[inline(always)]
const fn is_ours_v4(protocol: u8) -> bool {
    matches!(protocol, ipv4::PROTOCOL_ICMP | ipv4::PROTOCOL_IGMP)
}

#[inline(always)]
const fn may_be_ours_v6(next_header: u8) -> bool {
    next_header == ipv6::ICMPV6 || ipv6::is_extension(next_header)
}

/// Reads a packet: the second step of [`parse`]. Into its place, field by field: what is put together first and
/// copied then is spilled to the stack in between. Where it isn't ours, what is there says nothing.
///
/// # Errors
/// As [`parse`].
#[inline(always)]
pub fn read<F: Frame + ?Sized>(
    frame: &F,
    candidate: Candidate,
    packet: &mut Packet,
) -> Result<(), Reason> {
    let start = candidate.start;
    let cursor = frame.cursor().skip(start);
    if candidate.is_v6 {
        read_ipv6(frame, cursor, start, packet)
    } else {
        read_ipv4(frame, cursor, start, packet)
    }
}

#[inline(always)]
fn read_ipv4<F: Frame + ?Sized>(
    frame: &F,
    mut cursor: Cursor<'_>,
    start: u32,
    packet: &mut Packet,
) -> Result<(), Reason> {
    let Some(ip) = ipv4::take(&mut cursor) else { return Err(Reason::NOT_ICMP) };
    let family = match ip.protocol {
        ipv4::PROTOCOL_ICMP => family::ICMPV4,
        ipv4::PROTOCOL_IGMP => family::IGMP,
        _ => return Err(Reason::NOT_ICMP),
    };
    packet.begin(family, frame.zero());
    packet.offset = start + ip.header_length;
    packet.length = ip.total_length.wrapping_sub(ip.header_length);
    packet.source = ip.source;
    packet.destination = ip.destination;
    if ip.version != 4 {
        packet.fault(Reason::IP_VERSION);
    }
    if ip.header_length < ipv4::MIN_HEADER {
        packet.fault(Reason::IP_HEADER_LENGTH);
        return Ok(());
    }
    if ip.total_length < ip.header_length {
        packet.fault(Reason::IP_TOTAL_LENGTH);
        return Ok(());
    }
    if !frame.holds(start + ip.total_length) {
        packet.fault(Reason::IP_TOTAL_LENGTH);
    }
    if F::FROM_WIRE {
        let sum = if ip.header_length == ipv4::MIN_HEADER {
            Some(ip.sum)
        } else {
            frame.sum(start, ip.header_length)
        };
        if !sum.is_some_and(crate::wire::checksum::verifies) {
            packet.fault(Reason::IP_BAD_CHECKSUM);
        }
    }
    if ip.fragment_offset != 0 {
        packet.fragment = fragment::LATER;
        if ends_beyond(ip.fragment_offset, packet.length) {
            packet.fault(Reason::IP_TOTAL_LENGTH);
        }
        return Ok(());
    }
    if ip.more_fragments {
        packet.fragment = fragment::FIRST;
    }
    parse_message(frame, packet);
    Ok(())
}

#[inline(always)]
fn read_ipv6<F: Frame + ?Sized>(
    frame: &F,
    mut cursor: Cursor<'_>,
    start: u32,
    packet: &mut Packet,
) -> Result<(), Reason> {
    let Some(ip) = ipv6::take(&mut cursor) else { return Err(Reason::NOT_ICMP) };
    let chain = if ipv6::is_extension(ip.next_header) {
        frame.extension_headers(start + ipv6::HEADER, ip.next_header)
    } else {
        Chain::none(ip.next_header)
    };
    packet.begin(family::ICMPV6, frame.zero());
    packet.offset = start + ipv6::HEADER + chain.length;
    packet.length = ip.payload_length.wrapping_sub(chain.length);
    packet.source = ip.source;
    packet.destination = ip.destination;
    // Cut where the frame goes on: the next header lies in another part of an XDP buffer.
    let beyond_readable = matches!(chain.end, ipv6::End::Cut)
        && frame.holds(start + ipv6::HEADER + chain.length + ipv6::LEAST_EXTENSION);
    match chain.end {
        _ if beyond_readable => {
            packet.fault(Reason::EXTENSION_HEADERS_BEYOND_BOUND);
            return Ok(());
        }
        // RFC 7112: a first fragment has the whole chain, whatever it ends in.
        ipv6::End::Cut if chain.first_fragment => {
            packet.fragment = fragment::FIRST;
            packet.fault(Reason::FIRST_FRAGMENT_INCOMPLETE);
            return Ok(());
        }
        ipv6::End::BeyondBound => {
            packet.fault(Reason::EXTENSION_HEADERS_BEYOND_BOUND);
            return Ok(());
        }
        _ if chain.next_header != ipv6::ICMPV6 => return Err(Reason::NOT_ICMP),
        ipv6::End::Cut => return Err(Reason::NOT_ICMP),
        ipv6::End::LaterFragment => packet.fragment = fragment::LATER,
        ipv6::End::UpperLayer if chain.first_fragment => packet.fragment = fragment::FIRST,
        ipv6::End::UpperLayer => {}
    }
    if ip.version != 6 {
        packet.fault(Reason::IP_VERSION);
    }
    if ip.payload_length < chain.length {
        // What was walked is the frame's padding, not the packet.
        packet.fault(if chain.first_fragment {
            Reason::FIRST_FRAGMENT_INCOMPLETE
        } else {
            Reason::IPV6_PAYLOAD_LENGTH
        });
        return Ok(());
    }
    if !frame.holds(start + ipv6::HEADER + ip.payload_length) {
        packet.fault(Reason::IPV6_PAYLOAD_LENGTH);
    }
    if packet.fragment == fragment::LATER {
        if ends_beyond(chain.fragment_offset, packet.length) {
            packet.fault(Reason::IPV6_PAYLOAD_LENGTH);
        }
        return Ok(());
    }
    if chain.opaque_route {
        packet.checksum = checksum::UNVERIFIED;
    }
    let destination = match chain.final_destination {
        None => Some(ip.destination),
        Some(at) => {
            let at = frame.cursor().skip(start + ipv6::HEADER + at);
            { at }.take::<[u8; 16]>().map(Address::new)
        }
    };
    let Some(destination) = destination else {
        packet.fault(Reason::EXTENSION_HEADERS_BEYOND_BOUND);
        return Ok(());
    };
    packet.pseudo =
        ip.source.sum() + destination.sum() + pseudo_header(packet.length, ipv6::ICMPV6);
    parse_message(frame, packet);
    if packet.fragment == fragment::FIRST
        && packet.length < u32::from(packet.type_info() & INFO_MIN_LENGTH).clamp(4, 8)
    {
        packet.fault(Reason::FIRST_FRAGMENT_INCOMPLETE);
    }
    Ok(())
}

/// The longest packet that lengths of 16 bits can state, which no fragment may end beyond (RFC 791 3.2, RFC 8200 4.5):
/// of such fragments was the ping of death.
const LONGEST_PACKET: u32 = 0xffff;

/// Whether a fragment of so many octets, at that place in units of 8, ends beyond [`LONGEST_PACKET`].
#[inline(always)]
fn ends_beyond(fragment_offset: u16, octets: u32) -> bool {
    u32::from(fragment_offset) * 8 + octets > LONGEST_PACKET
}

/// Reads type and code, which every message of the three families begins with.
#[inline(always)]
fn parse_message<F: Frame + ?Sized>(frame: &F, packet: &mut Packet) {
    if packet.length < 4 {
        packet.fault(Reason::MESSAGE_TOO_SHORT);
        return;
    }
    let Some([ty, second, _, _]) = packet.message(frame).take::<[u8; 4]>() else {
        // The lengths are already found to disagree, unless the header lies in a fragment of the
        // XDP buffer, behind more extension headers than the linear area holds.
        if packet.family == family::ICMPV6 {
            packet.fault(Reason::EXTENSION_HEADERS_BEYOND_BOUND);
        } else {
            packet.fault(Reason::IP_TOTAL_LENGTH);
        }
        return;
    };
    packet.has_type = true;
    packet.ty = ty;
    packet.code = if packet.family == family::IGMP { igmp::code(ty, second) } else { second };
}

//! Answers from the hook: an ICMP error in the place of a packet that a rule rejects, or the reply in
//! the place of a request, sent back on the interface that it came by (XDP_TX). The headers and
//! fields are `icmp_common::answer`'s; here is what asks maps and moves octets.
//!
//! Most packets aren't answered, so all of it stands in global functions, behind one comparison: the
//! pipeline neither pays for it nor is verified again with it. They are several, one after the other,
//! since what calls each other has 512 octets of stack together (`combined stack size of 2 calls is
//! 544. Too large`); for the same reason what they know of the packet is in a map.
//!
//! Here is whether a packet may have an answer. `reject` and `reply` make it.
//!
//! What keeps an answer back leaves the packet dropped as the rule says (`denied`), but for a limit
//! that is spent, which has its own reason. No answer goes
//! - to whom V2 forbids it ([`unanswerable`]), to a source that is this machine itself, or to a
//!   link-layer group;
//! - to a frame that was sent to another link-layer address: a switch that floods, or an interface
//!   that listens to all, shows frames of others, whom their own receiver answers;
//! - where the VLAN is unknown, where the interface has no address to answer from, and to a packet
//!   that any check found a fault in, whatever the policy makes of that fault;
//! - to a source-routed packet: the route would have to be reversed (RFC 1122 3.2.2.6, RFC 1812
//!   4.3.2.6), and hosts refuse such packets (RFC 7126 4.3). A request for a reply with any option or
//!   extension header has none either: a recorded route would have to be added to, and no machine
//!   asks so by itself.

use crate::{
    error::Faults,
    frame::{Buffer, XdpFrame},
    limit, local,
    maps::{ASKED, ENDPOINTS, INTERFACE_ID},
    reject::{icmpgate_reject_v4, icmpgate_reject_v6, icmpgate_source_routed},
    reply::icmpgate_reply,
    sent,
};
use aya_ebpf::{bindings::xdp_md, programs::XdpContext};
use icmp_common::{
    abi::{
        Endpoint, PolicyTable, Rule, action, checksum, endpoint_flag, family, fragment,
        local as kind,
    },
    answer::{Error, error_octets, mask_v4, reply_type, source_v4, source_v6},
    answerable::{Original, unanswerable},
    parse::{Frame, Packet},
    verdict::Reason,
    wire::{ethernet, icmpv4::MASK, ipv4, ipv6, ipv6::Address},
};

/// What is asked to be answered: a packet, and what limits look at.
#[repr(C)]
pub struct Asked {
    /// The packet, with all the faults that were found in it.
    pub packet: Packet,
    /// [`Buffer::whole`].
    pub octets: u64,
    /// 1 where nothing is sent, since the rule or the policy only observes.
    pub observing: u8,
    /// Zero.
    pad: [u8; 3],
    /// The octets of the link-layer header, tags included: 14, 18 or 22.
    pub link: u32,
    /// Where the answer comes from, where it isn't the packet's destination; zero until it is known,
    /// and where there is none.
    pub from: Address,
    /// The mask of the network that the packet's source is on, as it lies in a packet; likewise.
    pub mask: u32,
    /// The MTU of the interface: [`Endpoint::mtu`].
    pub mtu: u32,
    /// [`Endpoint::tai_offset_s`].
    pub tai_offset_s: i32,
    /// The interface's link-layer address, in three parts: the one that the frame was sent to, unless
    /// that is a group's.
    pub hardware: [u16; 3],
    /// Zero.
    pad2: [u16; 3],
    /// The answer, as far as rules and limits look at it.
    pub sent: Packet,
    /// The octets of its frame.
    pub sent_octets: u64,
}

impl Asked {
    /// A packet that a rule would answer. Field by field: as a value, all of it would lie on the stack
    /// first.
    #[inline(always)]
    fn ask(&mut self, packet: &Packet, faults: u32, octets: u64, observing: bool) {
        self.packet = *packet;
        self.packet.faults = faults;
        self.octets = octets;
        self.observing = observing.into();
        self.from = Address([0; 2]);
        self.mask = 0;
        self.sent_octets = octets;
    }

    /// Notes that the answer is of this type and code: an error, or a reply as long as its request.
    #[inline(always)]
    fn answer_with(&mut self, ty: u8, code: u8, is_error: bool) {
        // IGMP is answered by ICMPv4.
        let family = if self.is_v6() { family::ICMPV6 } else { family::ICMPV4 };
        self.sent = self.packet;
        (self.sent.family, self.sent.ty, self.sent.code) = (family, ty, code);
        (self.sent.has_type, self.sent.fragment) = (true, fragment::NONE);
        (self.sent.source, self.sent.destination) = (self.from, self.packet.source);
        if is_error {
            let packet =
                self.packet.offset.wrapping_sub(self.link).wrapping_add(self.packet.length);
            let octets = self.link.wrapping_add(error_octets(family, packet, self.mtu));
            self.sent_octets = octets.into();
        }
    }

    /// Whether it is IPv6.
    #[inline(always)]
    pub fn is_v6(&self) -> bool {
        self.packet.family == family::ICMPV6
    }
}

/// Answers a packet as a rule of this policy says, if it may be answered. The reason is that of the
/// answer, or of what keeps it back. No pointer into the frame is good any more afterwards.
#[inline(always)]
pub fn answer<F: Buffer>(
    frame: &F,
    packet: &Packet,
    found: Faults,
    policy: &PolicyTable,
    rule: &Rule,
    observing: bool,
) -> Reason {
    let Some(asked) = ASKED.get_ptr_mut(0) else { return Reason::INTERNAL_ERROR };
    // SAFETY: this CPU's own element, which nothing else uses while this packet is looked at.
    let asked = unsafe { &mut *asked };
    // What is cut off is reckoned from it.
    asked.ask(packet, found.held, frame.whole(), observing);
    frame.answer(rule, policy, asked)
}

/// Answers a packet of XDP in its own frame; the result is a [`Reason`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_answer(
    ctx: *mut xdp_md,
    rule: *const Rule,
    policy: *const PolicyTable,
    asked: *mut Asked,
) -> u32 {
    // SAFETY: as in `icmpgate_limits`.
    let (Some(rule), Some(policy), Some(asked)) =
        (unsafe { (rule.as_ref(), policy.as_ref(), asked.as_mut()) })
    else {
        return Reason::INTERNAL_ERROR.0.into();
    };
    decide(ctx, rule, policy, asked).unwrap_or_else(|kept_back| kept_back).0.into()
}

/// `Err` is what keeps the answer back.
#[inline(always)]
fn decide(
    ctx: *mut xdp_md,
    rule: &Rule,
    policy: &PolicyTable,
    asked: &mut Asked,
) -> Result<Reason, Reason> {
    let sure = |is: u32| if is != 0 { Ok(()) } else { Err(Reason::DENIED) };
    let is_reject = rule.action == action::REJECT;
    let family = asked.packet.family;
    // No exception of V2 is one of a reply.
    let error =
        if is_reject { Error::of(rule, family) } else { Error { ty: 0, code: 0, value: 0 } };
    sure(icmpgate_may_answer(ctx, asked, error.ty.into(), error.code.into()))?;
    if is_reject {
        sure((!asked.from.is_unspecified()).into())?;
        let options = asked.packet.offset.wrapping_sub(asked.link + ipv4::MIN_HEADER);
        if !asked.is_v6() && options != 0 {
            let at = asked.link + ipv4::MIN_HEADER;
            sure((icmpgate_source_routed(ctx, at, options) == 0).into())?;
        }
        asked.answer_with(error.ty, error.code, true);
    } else {
        sure(may_reply(asked).into())?;
        asked.answer_with(reply_type(family, asked.packet.ty), asked.packet.code, false);
    }
    within_limits(rule, policy, asked)?;
    let (ty, code, value) = (error.ty.into(), error.code.into(), error.value.into());
    if asked.observing == 0 {
        sure(match (is_reject, asked.is_v6()) {
            (false, _) => icmpgate_reply(ctx, asked),
            (true, false) => icmpgate_reject_v4(ctx, asked, ty, code, value),
            (true, true) => icmpgate_reject_v6(ctx, asked, ty, code, value),
        })?;
    }
    Ok(if is_reject { Reason::REJECTED } else { Reason::REPLIED })
}

/// Whether an answer may be sent as far as its number goes: the one place through which every answer
/// goes. First the limits of the rule that asks for it, so that what they refuse draws on nothing that
/// is sent; then what the policy says of what is sent, where anything is.
#[inline(always)]
fn within_limits(rule: &Rule, policy: &PolicyTable, asked: &Asked) -> Result<(), Reason> {
    match limit::ask_rule(rule, policy, &asked.packet, asked.octets) {
        Reason::WITHIN_LIMIT if asked.observing != 0 => Ok(()),
        Reason::WITHIN_LIMIT => sent::leaves(policy, asked),
        refused => Err(refused),
    }
}

/// Whether a request that may be answered is one that the hook replies to: whole, good, for an address
/// of this machine, and without options or extension headers.
#[inline(always)]
fn may_reply(asked: &Asked) -> bool {
    let header = if asked.is_v6() { ipv6::HEADER } else { ipv4::MIN_HEADER };
    let knows_mask = asked.is_v6() || asked.packet.ty != MASK || asked.mask != 0;
    asked.packet.has_type
        && asked.packet.fragment == fragment::NONE
        && asked.packet.checksum == checksum::GOOD
        && asked.packet.offset == asked.link + header
        && asked.from == asked.packet.destination
        && knows_mask
}

/// Whether a packet may be answered with an error of this type and code, or a reply: 1, or 0. Finds
/// where the answer comes from.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_may_answer(
    ctx: *mut xdp_md,
    asked: *mut Asked,
    ty: u32,
    code: u32,
) -> u32 {
    // SAFETY: as in `icmpgate_limits`.
    let Some(asked) = (unsafe { asked.as_mut() }) else { return 0 };
    let Some(endpoint) = ENDPOINTS.get(INTERFACE_ID.load()) else { return 0 };
    may_answer(&XdpContext::new(ctx), asked, endpoint, ty as u8, code as u8).into()
}

#[inline(always)]
fn may_answer(ctx: &XdpContext, asked: &mut Asked, endpoint: &Endpoint, ty: u8, code: u8) -> bool {
    let frame = XdpFrame::new(ctx);
    let Some(h) = { frame.cursor() }.take::<[u8; 12]>() else { return false };
    let Some(link) = ethernet::take(&mut frame.cursor()) else { return false };
    asked.link = link.length;
    if asked.packet.faults != 0 || endpoint.flags & endpoint_flag::VLAN_UNKNOWN != 0 {
        return false;
    }
    let any = endpoint.flags & endpoint_flag::ANY_HARDWARE != 0;
    let to_link_group = is_group(h[0]);
    let to = [h[0], h[1], h[2], h[3], h[4], h[5]];
    if !(any || to_link_group || to == endpoint.hardware) || is_group(h[6]) {
        return false;
    }
    let [a, b, c, d, e, f] = if to_link_group { endpoint.hardware } else { to };
    let pair = |a, b| u16::from_ne_bytes([a, b]);
    asked.hardware = [pair(a, b), pair(c, d), pair(e, f)];
    let to = local::kind(asked.packet.destination);
    let from = local::kind(asked.packet.source);
    let original = Original {
        from_broadcast: from == kind::BROADCAST,
        to_broadcast: to == kind::BROADCAST,
        to_link_group,
        ..Original::of_packet(&asked.packet)
    };
    if from == kind::UNICAST || unanswerable(&original, ty, code) {
        return false;
    }
    (asked.mtu, asked.tai_offset_s) = (endpoint.mtu, endpoint.tai_offset_s);
    let source = asked.packet.source.v4().to_be();
    asked.mask = mask_v4(endpoint, source);
    asked.from = if to == kind::UNICAST {
        asked.packet.destination
    } else if asked.is_v6() {
        source_v6(endpoint, asked.packet.source)
    } else {
        Address::mapped(u32::from_be(source_v4(endpoint, source)))
    };
    true
}

/// Whether a link-layer address that begins with this octet is that of a group, or the broadcast
/// (IEEE 802: by the first bit sent).
#[inline(always)]
const fn is_group(first: u8) -> bool {
    first & 1 != 0
}

/// Sends a frame back: to whom it came from, from this interface.
///
/// # Safety
/// 12 octets from `at` must be readable and writable.
#[inline(always)]
pub unsafe fn turn_link(at: usize, asked: &Asked) {
    let [[a, b], [c, d], last] = asked.hardware.map(u16::to_ne_bytes);
    // Words: three halves together become a call that copies octet by octet.
    // SAFETY: the caller's.
    unsafe {
        let from = ((at + 6) as *const u32).read_unaligned();
        let from_end = ((at + 10) as *const u16).read_unaligned();
        (at as *mut u32).write_unaligned(from);
        ((at + 4) as *mut u16).write_unaligned(from_end);
        ((at + 6) as *mut u32).write_unaligned(u32::from_ne_bytes([a, b, c, d]));
        ((at + 10) as *mut u16).write_unaligned(u16::from_ne_bytes(last));
    }
}

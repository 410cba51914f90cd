//! Errors: who can send and be sent one, and what they quote. Nothing else pays for this stage.

use crate::{
    flow,
    frame::{Buffer, XdpFrame},
    local,
    skb::SkbFrame,
};
use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    programs::{TcContext, XdpContext},
};
use core::hint::black_box;
use icmp_common::{
    abi::{destination, family, local::BROADCAST, origin},
    answerable::{Original, unanswerable},
    opaque::either,
    parse::{Frame, Packet, stage},
    plausible::{self, Claim},
    verdict::{BY_RULE, Reason},
    wire::{
        ipv6::Address,
        quote::{self, Quote},
    },
};

/// The furthest that an error may begin whose quote is read, so that what is behind the quoted
/// extension headers lies below 2^16. Only 16 KiB of extension headers lead beyond it, which no
/// linear area holds.
const MAX_OFFSET: u32 = 0x3fff;

/// What is wrong with a packet: sets of [`Reason::bit`]s.
#[derive(Clone, Copy)]
pub struct Faults {
    /// What holds wherever the packet goes.
    pub held: u32,
    /// What holds in transit where the packet's rule asks for it.
    pub in_transit: u32,
}

/// All faults of a packet: those that parser and checks found, those of an error that only this machine, or the
/// quote, tells, and those of a message for one link.
#[inline(always)]
pub fn judge<F: Buffer>(frame: &F, packet: &Packet) -> Faults {
    if packet.stage == stage::NONE {
        return Faults { held: packet.faults, in_transit: 0 };
    }
    let found = match packet.stage {
        stage::ERROR => frame.judge(packet),
        _ => frame.judge_link(packet),
    };
    let noted = packet.faults & !Reason::GROUP_ADDRESS.bit();
    Faults { held: noted | found as u32, in_transit: (found >> 32) as u32 }
}

/// The faults of an error: in the lower half those that hold, in the upper half those that hold in
/// transit where its rule asks for them. A global function, which the verifier looks at once: as
/// part of the pipeline, its ways are multiplied by the pipeline's.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_error(ctx: *mut xdp_md, packet: *const Packet) -> u64 {
    // SAFETY: the only caller hands over a reference, and the verifier checks the size that BTF
    // says. It also wants to see that it isn't null.
    let Some(packet) = (unsafe { packet.as_ref() }) else { return 0 };
    let ctx = XdpContext::new(ctx);
    let frame = XdpFrame::new(&ctx);
    let kind = local::kind_at_once(packet.destination);
    let place = local::destination_as(packet.family, packet.destination, || kind);
    // Opaque, as below: one way for all that follows, whatever is found of the address and by whom.
    let in_transit = either(place != destination::LOCAL);
    let to_broadcast = either(kind == BROADCAST);
    let none = || {
        flow::note(in_transit, None);
        plausible::faults_of_unread(&frame, packet)
    };
    if packet.family == family::ICMPV6 {
        // In this order: the other way round, what the quote doesn't have is spilled (`R4 !read_ok`).
        let found = read(&frame, packet, family::ICMPV6).map_or_else(none, |quote| {
            claimed(&frame, packet, family::ICMPV6, in_transit, &quote)
                | is_unanswerable(&quote, packet, family::ICMPV6, false)
        });
        placed(found, || in_transit)
    } else {
        let found = read(&frame, packet, family::ICMPV4).map_or_else(none, |quote| {
            claimed(&frame, packet, family::ICMPV4, in_transit, &quote)
                | is_unanswerable(&quote, packet, family::ICMPV4, to_broadcast)
        });
        u64::from(addresses(packet, to_broadcast)) | placed(found, || in_transit)
    }
}

/// The same of what is sent: what this machine generates is held to it (G1), what it forwards where
/// the rule asks for that.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_skb_error(skb: *mut __sk_buff, packet: *const Packet) -> u64 {
    // SAFETY: as above.
    let Some(packet) = (unsafe { packet.as_ref() }) else { return 0 };
    let ctx = TcContext::new(skb);
    let frame = SkbFrame::new(&ctx);
    let found = if packet.family == family::ICMPV6 {
        read(&frame, packet, family::ICMPV6)
            .map_or(0, |quote| is_unanswerable(&quote, packet, family::ICMPV6, false))
    } else {
        let to_broadcast = is_broadcast(packet.destination);
        read(&frame, packet, family::ICMPV4)
            .map_or(0, |quote| is_unanswerable(&quote, packet, family::ICMPV4, to_broadcast))
    };
    placed(found, || frame.origin() == origin::FORWARDED)
}

/// V1: an error from or to an address that the routing tables call a broadcast.
#[inline(always)]
fn addresses(packet: &Packet, to_broadcast: bool) -> u32 {
    let mut faults = 0;
    if is_broadcast(packet.source) {
        faults |= Reason::ERROR_SOURCE.bit();
    }
    if to_broadcast {
        faults |= Reason::ERROR_DESTINATION.bit();
    }
    faults
}

#[inline(always)]
fn is_broadcast(address: Address) -> bool {
    local::kind_at_once(address) == BROADCAST
}

/// The packet that it quotes. A quote that can't be read says nothing (W6).
#[inline(always)]
fn read<F: Frame>(frame: &F, packet: &Packet, family: u8) -> Option<Quote> {
    if packet.offset > MAX_OFFSET {
        return None;
    }
    quote::read(frame, family, packet.offset, packet.length)
}

/// V2: the fault of one that quotes a packet that no error may answer.
#[inline(always)]
fn is_unanswerable(quote: &Quote, packet: &Packet, family: u8, to_broadcast: bool) -> u32 {
    let mut original = Original::of_quote(family, quote);
    if family == family::ICMPV4 {
        original.to_broadcast = is_broadcast(quote.destination);
        // An error goes to whom it quotes as the source: mostly there is nothing to look up again.
        original.from_broadcast = if quote.source == packet.destination {
            to_broadcast
        } else {
            local::is_broadcast(quote.source)
        };
    }
    if unanswerable(&original, packet.ty, packet.code) { Reason::UNANSWERABLE.bit() } else { 0 }
}

/// V3: the faults of one that says of the packet that it quotes what can't be. Of whose flow that is, V4 asks
/// later.
#[inline(always)]
fn claimed<F: Frame>(
    frame: &F,
    packet: &Packet,
    family: u8,
    in_transit: bool,
    quote: &Quote,
) -> u32 {
    // A message whose quote was read has its first words.
    let Some([_, _, _, _, word @ ..]) = packet.message(frame).take::<[u8; 8]>() else { return 0 };
    let Packet { ty, code, destination, .. } = *packet;
    let claim = Claim { family, ty, code, destination, word: u32::from_be_bytes(word) };
    flow::note(in_transit, Some((&claim, quote)));
    // Opaque: else what follows is walked again for each set of them (two thirds of this function).
    black_box(plausible::faults(&claim, quote))
}

/// The place of faults: those that a rule can name hold for what is addressed to this machine, in
/// transit only where the rule asks for them.
#[inline(always)]
pub fn placed(found: u32, is_transit: impl FnOnce() -> bool) -> u64 {
    let (judged, held) = (u64::from(found & BY_RULE), u64::from(found & !BY_RULE));
    if judged != 0 && is_transit() { held | judged << 32 } else { held | judged }
}

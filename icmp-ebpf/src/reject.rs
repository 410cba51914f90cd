//! An ICMP error in the place of a packet: its headers before what is left of it. The packet stays where
//! it is, cut to what is quoted; only the link-layer header moves.

use crate::{
    answer::{Asked, turn_link},
    frame::XdpFrame,
};
use aya_ebpf::{
    bindings::xdp_md,
    helpers::{bpf_get_prandom_u32, bpf_xdp_adjust_head, bpf_xdp_adjust_tail},
    programs::XdpContext,
};
use icmp_common::{
    answer::{Error, ErrorV4, ErrorV6, WORDS_V4, WORDS_V6, quoted_v4, quoted_v6, service_v4},
    parse::Frame,
    wire::{ethernet, ipv4, ipv6},
};

/// Whether options have a source route: see [`ipv4::source_routed`]. A global function for its loop.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_source_routed(ctx: *mut xdp_md, offset: u32, length: u32) -> u32 {
    if offset > ethernet::LONGEST + ipv4::MIN_HEADER || length > ipv4::MAX_OPTIONS {
        return 1;
    }
    let ctx = XdpContext::new(ctx);
    let frame = XdpFrame::new(&ctx);
    ipv4::source_routed(frame.cursor().skip(offset), length).into()
}

/// Answers an IPv4 packet with an error: 1, or 0 where it can't be made.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_reject_v4(
    ctx: *mut xdp_md,
    asked: *const Asked,
    ty: u32,
    code: u32,
    value: u32,
) -> u32 {
    // SAFETY: as in `icmpgate_limits`.
    let Some(asked) = (unsafe { asked.as_ref() }) else { return 0 };
    let error = Error { ty: ty as u8, code: code as u8, value: value as u16 };
    reject_v4(&XdpContext::new(ctx), asked, error).is_some().into()
}

/// Answers an IPv6 packet with an error: 1, or 0 where it can't be made.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_reject_v6(
    ctx: *mut xdp_md,
    asked: *const Asked,
    ty: u32,
    code: u32,
    value: u32,
) -> u32 {
    // SAFETY: as in `icmpgate_limits`.
    let Some(asked) = (unsafe { asked.as_ref() }) else { return 0 };
    let error = Error { ty: ty as u8, code: code as u8, value: value as u16 };
    reject_v6(&XdpContext::new(ctx), asked, error).is_some().into()
}

#[inline(always)]
fn reject_v4(ctx: &XdpContext, asked: &Asked, error: Error) -> Option<()> {
    let frame = XdpFrame::new(ctx);
    let header = frame.cursor().skip(link(asked)?);
    let [_, service, a, b] = { header }.take::<[u8; 4]>()?;
    let quoted = quoted_v4(u16::from_be_bytes([a, b]).into(), asked.mtu);
    let sum = make_room(ctx, asked, quoted, WORDS_V4)?;
    let headers = ErrorV4 {
        error,
        service: service_v4(service),
        // SAFETY: a helper without arguments.
        id: unsafe { bpf_get_prandom_u32() } as u16,
        source: asked.from.v4().to_be(),
        destination: asked.packet.source.v4().to_be(),
        quoted,
        sum,
    };
    place(ctx, asked, headers.words())
}

#[inline(always)]
fn reject_v6(ctx: &XdpContext, asked: &Asked, error: Error) -> Option<()> {
    let frame = XdpFrame::new(ctx);
    let header = frame.cursor().skip(link(asked)?);
    let [_, _, _, _, a, b, _, _] = { header }.take::<[u8; 8]>()?;
    let quoted = quoted_v6(ipv6::HEADER + u32::from(u16::from_be_bytes([a, b])));
    let sum = make_room(ctx, asked, quoted, WORDS_V6)?;
    let (source, destination) = (asked.from, asked.packet.source);
    place(ctx, asked, ErrorV6 { error, source, destination, quoted, sum }.words())
}

/// The length of the link-layer header, as far as the verifier is concerned.
#[inline(always)]
fn link(asked: &Asked) -> Option<u32> {
    (asked.link <= ethernet::LONGEST).then_some(asked.link)
}

/// Cuts the packet to what is quoted, and makes room for so many words before it; gives the sum of the
/// quote.
///
/// Of a frame in several buffers the kernel shortens the last ones first, and sums them where some are
/// left.
#[inline(always)]
fn make_room(ctx: &XdpContext, asked: &Asked, quoted: u32, words: usize) -> Option<u64> {
    let sum = XdpFrame::new(ctx).sum(asked.link, quoted)?;
    // With what pads the frame behind the packet.
    let cut = (asked.octets as u32).wrapping_sub(asked.link + quoted);
    // SAFETY: the context is the program's own.
    if cut != 0 && unsafe { bpf_xdp_adjust_tail(ctx.ctx, (cut as i32).wrapping_neg()) } != 0 {
        return None;
    }
    // SAFETY: as above.
    let failed = unsafe { bpf_xdp_adjust_head(ctx.ctx, -(words as i32 * 4)) };
    (failed == 0).then_some(sum)
}

/// Writes the link-layer header to the beginning of the frame, turned, its tags as they are, and these words behind it.
#[inline(always)]
fn place<const WORDS: usize>(ctx: &XdpContext, asked: &Asked, words: [u32; WORDS]) -> Option<()> {
    // Each length by itself, so that all places are constants.
    match asked.link {
        14 => place_behind::<14, WORDS>(ctx, asked, words),
        18 => place_behind::<18, WORDS>(ctx, asked, words),
        22 => place_behind::<22, WORDS>(ctx, asked, words),
        _ => None,
    }
}

#[inline(always)]
fn place_behind<const LINK: usize, const WORDS: usize>(
    ctx: &XdpContext,
    asked: &Asked,
    words: [u32; WORDS],
) -> Option<()> {
    let (to, from) = (ctx.data(), ctx.data() + WORDS * 4);
    if from + LINK > ctx.data_end() {
        return None;
    }
    const { assert!(LINK <= WORDS * 4 && LINK.is_multiple_of(2)) };
    // SAFETY: both places lie within the linear area, by the comparison, and the new header ends before the old one
    // begins.
    unsafe {
        // Half by half: as a whole it is copied by a call, octet by octet.
        for at in (0..LINK).step_by(2) {
            let half = ((from + at) as *const u16).read_unaligned();
            ((to + at) as *mut u16).write_unaligned(half);
        }
        turn_link(to, asked);
        ((to + LINK) as *mut [u32; WORDS]).write_unaligned(words);
    }
    Some(())
}

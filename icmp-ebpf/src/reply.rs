//! The reply in the place of a request: addresses exchanged, type and checksum changed, and what the
//! reply says beyond the request.

use crate::{
    answer::{Asked, turn_link},
    frame::XdpFrame,
};
use aya_ebpf::{
    bindings::xdp_md,
    helpers::{bpf_get_prandom_u32, bpf_ktime_get_tai_ns},
    programs::XdpContext,
};
use icmp_common::{
    answer::{TTL, header_v4, since_midnight},
    parse::Frame,
    wire::{
        checksum::{finish, update},
        icmpv4::{ECHO, ECHO_REPLY, MASK, MASK_REPLY, TIMESTAMP, TIMESTAMP_REPLY},
        icmpv6, ipv4,
    },
};

/// Makes a request its reply: 1, or 0 where it can't.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_reply(ctx: *mut xdp_md, asked: *const Asked) -> u32 {
    // SAFETY: as in `icmpgate_limits`.
    let Some(asked) = (unsafe { asked.as_ref() }) else { return 0 };
    let ctx = &XdpContext::new(ctx);
    // Each length by itself, so that all places are constants.
    let done = match asked.link {
        14 => reply_behind::<14>(ctx, asked),
        18 => reply_behind::<18>(ctx, asked),
        22 => reply_behind::<22>(ctx, asked),
        _ => false,
    };
    done.into()
}

#[inline(always)]
fn reply_behind<const LINK: usize>(ctx: &XdpContext, asked: &Asked) -> bool {
    let at = ctx.data();
    let done = if asked.is_v6() {
        asked.packet.ty == icmpv6::ECHO && echo_v6(ctx, at + LINK)
    } else {
        let message = at + LINK + ipv4::MIN_HEADER as usize;
        let length = match asked.packet.ty {
            ECHO => echo_v4(ctx, message, asked),
            TIMESTAMP => timestamp_v4(ctx, message, asked),
            MASK => mask_reply_v4(ctx, message, asked),
            _ => None,
        };
        length.is_some_and(|length| turn_v4(ctx, at + LINK, length))
    };
    if done {
        // SAFETY: a frame that holds a message behind them holds the addresses.
        unsafe { turn_link(at, asked) };
    }
    done
}

/// A place in the frame as words, if the linear area has so many octets from it.
#[inline(always)]
fn words<const N: usize>(ctx: &XdpContext, at: usize) -> Option<*mut [u32; N]> {
    (at + N * 4 <= ctx.data_end()).then_some(at as *mut [u32; N])
}

/// Whatever length the packet has.
const SAME: u32 = 0;

/// Makes an IPv4 header that of the reply: addresses exchanged, everything else as in a packet that
/// this machine sends, but for the type of service, which is the request's (RFC 1122 3.2.2.6 leaves
/// it, Linux keeps it).
#[inline(always)]
fn turn_v4(ctx: &XdpContext, at: usize, message: u32) -> bool {
    let Some(header) = words::<5>(ctx, at) else { return false };
    // SAFETY: within the linear area.
    let [first, _, _, source, destination] = unsafe { header.read_unaligned() };
    let [_, service, a, b] = first.to_ne_bytes();
    let length = match message {
        SAME => u16::from_be_bytes([a, b]).into(),
        message => ipv4::MIN_HEADER + message,
    };
    // SAFETY: a helper without arguments.
    let id = unsafe { bpf_get_prandom_u32() } as u16;
    // SAFETY: within the linear area.
    unsafe { header.write_unaligned(header_v4(service, length, id, destination, source)) };
    true
}

/// Another type in the first word of a message, and the checksum that follows from that.
#[inline(always)]
fn retyped(first: u32, ty: u8) -> (u32, u16) {
    let [was, code, a, b] = first.to_ne_bytes();
    let word = |ty| u16::from_ne_bytes([ty, code]);
    let check = update(u16::from_ne_bytes([a, b]), word(was), word(ty));
    let [a, b] = check.to_ne_bytes();
    (u32::from_ne_bytes([ty, code, a, b]), check)
}

#[inline(always)]
fn echo_v4(ctx: &XdpContext, at: usize, asked: &Asked) -> Option<u32> {
    let message = words::<2>(ctx, at)?;
    // SAFETY: within the linear area.
    let [first, rest] = unsafe { message.read_unaligned() };
    let (first, check) = retyped(first, ECHO_REPLY);
    // SAFETY: within the linear area.
    unsafe { message.write_unaligned([first, rest]) };
    if check == 0 {
        // Of a reply that is nothing but zeros the checksum is 0xffff, which an update can't tell from
        // 0 (see `update`). So the one in 65,536 that may be such is summed.
        let sum = XdpFrame::new(ctx).sum(asked.packet.offset, asked.packet.length)?;
        let ([ty, code, _, _], [a, b]) = (first.to_ne_bytes(), finish(sum).to_ne_bytes());
        let message = words::<2>(ctx, at)?;
        // SAFETY: within the linear area.
        unsafe { message.write_unaligned([u32::from_ne_bytes([ty, code, a, b]), rest]) };
    }
    Some(SAME)
}

#[inline(always)]
fn echo_v6(ctx: &XdpContext, at: usize) -> bool {
    let Some(packet) = words::<11>(ctx, at) else { return false };
    // SAFETY: within the linear area.
    let [version, length, a, b, c, d, e, f, g, h, first] = unsafe { packet.read_unaligned() };
    let ([v, class, _, _], [high, low, next, _]) = (version.to_ne_bytes(), length.to_ne_bytes());
    // The traffic class is the request's, as Linux has it; its flow label was its sender's
    // (RFC 6437 3). The pseudo-header sums to the same.
    let version = u32::from_ne_bytes([v, class & 0xf0, 0, 0]);
    let length = u32::from_ne_bytes([high, low, next, TTL]);
    let (first, _) = retyped(first, icmpv6::ECHO_REPLY);
    // SAFETY: within the linear area.
    unsafe { packet.write_unaligned([version, length, e, f, g, h, a, b, c, d, first]) };
    true
}

/// RFC 792: the originate timestamp is the request's; it is received and answered at one moment.
#[inline(always)]
fn timestamp_v4(ctx: &XdpContext, at: usize, asked: &Asked) -> Option<u32> {
    let message = words::<5>(ctx, at)?;
    // SAFETY: within the linear area.
    let [first, session, originate, _, _] = unsafe { message.read_unaligned() };
    // SAFETY: a helper without arguments.
    let now = since_midnight(unsafe { bpf_ktime_get_tai_ns() }, asked.tai_offset_s).to_be();
    let reply = summed([retyped(first, TIMESTAMP_REPLY).0, session, originate, now, now]);
    // SAFETY: within the linear area.
    unsafe { message.write_unaligned(reply) };
    Some(5 * 4)
}

/// RFC 950: the mask of the network that the request came from.
#[inline(always)]
fn mask_reply_v4(ctx: &XdpContext, at: usize, asked: &Asked) -> Option<u32> {
    let message = words::<3>(ctx, at)?;
    // SAFETY: within the linear area.
    let [first, session, _] = unsafe { message.read_unaligned() };
    let reply = summed([retyped(first, MASK_REPLY).0, session, asked.mask]);
    // SAFETY: within the linear area.
    unsafe { message.write_unaligned(reply) };
    Some(3 * 4)
}

/// A whole ICMPv4 message with the checksum of these words in its first one.
#[inline(always)]
fn summed<const N: usize>(mut message: [u32; N]) -> [u32; N] {
    let [ty, code, _, _] = message[0].to_ne_bytes();
    message[0] = u32::from_ne_bytes([ty, code, 0, 0]);
    let mut sum = 0;
    for word in message {
        sum += u64::from(word);
    }
    let [a, b] = finish(sum).to_ne_bytes();
    message[0] = u32::from_ne_bytes([ty, code, a, b]);
    message
}

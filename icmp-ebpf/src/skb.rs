//! A frame as the classifier has it: a socket buffer, of which the beginning lies in its linear area.

use crate::{
    answer::Asked, error, frame::Buffer, member, multicast::icmpgate_skb_multicast,
    pipeline::icmpgate_skb_read, redirect::icmpgate_skb_redirect, request::icmpgate_skb_request,
};
use aya_ebpf::{
    bindings::__sk_buff,
    helpers::{bpf_skb_load_bytes, bpf_skb_pull_data},
    programs::TcContext,
};
use icmp_common::{
    abi::{PolicyTable, Rule, hook, origin},
    cursor::Cursor,
    opaque::opaque,
    parse::{Candidate, Frame, Packet},
    verdict::Reason,
    wire::{
        ethernet, ipv4,
        ipv6::{self, Chain, End},
    },
};

/// How much of a packet of ours is read at most: headers, message, and the quote of an error with
/// options or extension headers.
const READ: u32 = 512;
/// The furthest that extension headers begin.
const MAX_OFFSET: u32 = 0x7fff;

/// The buffer of one run of the program.
pub struct SkbFrame<'a> {
    ctx: &'a TcContext,
    data: usize,
    data_end: usize,
    octets: u32,
}

impl<'a> SkbFrame<'a> {
    /// A frame as it is: the stack keeps as much of the headers linear as tells whether the packet may
    /// be ours.
    #[inline(always)]
    pub fn new(ctx: &'a TcContext) -> Self {
        Self { ctx, data: ctx.data(), data_end: ctx.data_end(), octets: ctx.len() }
    }

    /// A frame of which as much is linear as is read.
    #[inline(always)]
    pub fn pulled(ctx: &'a TcContext) -> Self {
        let frame = Self::new(ctx);
        let octets = frame.octets.min(READ);
        // Opaque, so that the compiler takes no check of a cursor to be decided by this one: the
        // verifier wouldn't see why (`R3 offset is outside of the packet`).
        if octets as usize <= opaque(frame.data_end - frame.data) {
            return frame;
        }
        // SAFETY: the context is the program's own. Where memory lacks, the rest counts as cut.
        unsafe { bpf_skb_pull_data(ctx.skb.skb, octets) };
        // To the verifier, the pointers of before are none any more.
        Self::new(ctx)
    }
}

impl Buffer for SkbFrame<'_> {
    const HOOK: u8 = hook::EGRESS;

    #[inline(always)]
    fn octets(&self, _end: u32) -> u64 {
        self.octets.into()
    }

    #[inline(always)]
    fn whole(&self) -> u64 {
        self.octets.into()
    }

    #[inline(always)]
    fn origin(&self) -> u8 {
        // SAFETY: a field of the program's own context. It says where the packet arrived, and
        // nothing for what this machine made itself.
        let arrived = unsafe { (*self.ctx.skb.skb).ingress_ifindex };
        if arrived == 0 { origin::GENERATED } else { origin::FORWARDED }
    }

    #[inline(always)]
    fn read(&self, candidate: Candidate, packet: &mut Packet) -> u32 {
        icmpgate_skb_read(self.ctx.skb.skb, candidate.is_v6.into(), candidate.start, packet)
    }

    #[inline(always)]
    fn again(&self) -> Self {
        Self::new(self.ctx)
    }

    #[inline(always)]
    fn judge(&self, packet: &Packet) -> u64 {
        error::icmpgate_skb_error(self.ctx.skb.skb, packet)
    }

    /// What is sent to the link is the stack's doing.
    #[inline(always)]
    fn judge_link(&self, _packet: &Packet) -> u64 {
        0
    }

    /// What is sent is this machine's, or none of its business.
    #[inline(always)]
    fn ask(&self, _packet: &Packet, _policy: &PolicyTable, _rule: &Rule) -> u64 {
        0
    }

    #[inline(always)]
    fn remember(&self, packet: &Packet) {
        icmpgate_skb_request(self.ctx.skb.skb, packet);
    }

    #[inline(always)]
    fn learn(&self, packet: &Packet) {
        member::icmpgate_skb_learn(self.ctx.skb.skb, packet);
    }

    /// The outer tag isn't in the frame yet.
    #[inline(always)]
    fn vlans(&self) -> Option<[u16; 2]> {
        let [first, second] = ethernet::vlans(self.cursor())?;
        // SAFETY: fields of the program's own context.
        let (is_there, tag) = unsafe {
            let skb = self.ctx.skb.skb;
            ((*skb).vlan_present != 0, (*skb).vlan_tci as u16 & ethernet::VLAN)
        };
        Some(if is_there { [tag, first] } else { [first, second] })
    }

    #[inline(always)]
    fn load(&self, at: u32, into: &mut [u8], octets: u32) -> bool {
        octets as usize <= into.len()
            // SAFETY: there is room for them, and the context is the program's own.
            && unsafe {
                let skb = self.ctx.skb.skb.cast();
                bpf_skb_load_bytes(skb, at, into.as_mut_ptr().cast(), octets) == 0
            }
    }

    #[inline(always)]
    fn fate(&self) -> u32 {
        icmpgate_skb_multicast(self.ctx.skb.skb)
    }

    #[inline(always)]
    fn judge_redirect(&self, packet: &Packet) -> u32 {
        icmpgate_skb_redirect(self.ctx.skb.skb, packet)
    }

    /// Whom this machine sends to isn't put into a box.
    #[inline(always)]
    fn offence(&self, _rule: &Rule, _packet: &Packet, _hardware: u64) {}

    /// Nothing that is sent is answered: no rule for it says so.
    #[inline(always)]
    fn answer(&self, _rule: &Rule, _policy: &PolicyTable, _asked: &mut Asked) -> Reason {
        Reason::INTERNAL_ERROR
    }
}

impl Frame for SkbFrame<'_> {
    /// The stack has just made the header.
    const FROM_WIRE: bool = false;

    #[inline(always)]
    fn cursor(&self) -> Cursor<'_> {
        // SAFETY: the kernel guarantees data..data_end for the run of the program.
        unsafe { Cursor::from_range(self.data as *const u8, self.data_end as *const u8) }
    }

    #[inline(always)]
    fn holds(&self, octets: u32) -> bool {
        self.octets >= octets
    }

    /// Nothing is summed of what didn't come from a wire.
    #[inline(always)]
    fn sum(&self, _offset: u32, _length: u32) -> Option<u64> {
        None
    }

    /// As [`crate::frame::XdpFrame`]'s.
    #[inline(always)]
    fn zero(&self) -> u32 {
        ((self.data_end.wrapping_sub(self.data)) >> 32) as u32
    }

    #[inline(always)]
    fn source_routed(&self, offset: u32, length: u32) -> bool {
        icmpgate_skb_source_routed(self.ctx.skb.skb, offset, length) != 0
    }

    #[inline(always)]
    fn extension_headers(&self, offset: u32, next_header: u8) -> Chain {
        Chain::unpack(icmpgate_skb_extension_headers(self.ctx.skb.skb, offset, next_header.into()))
    }
}

/// Whether IPv4 options have a source route: see [`ipv4::source_routed`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_skb_source_routed(skb: *mut __sk_buff, offset: u32, length: u32) -> u32 {
    if offset > MAX_OFFSET || length > ipv4::MAX_OPTIONS {
        return 1;
    }
    let ctx = TcContext::new(skb);
    let frame = SkbFrame::new(&ctx);
    ipv4::source_routed(frame.cursor().skip(offset), length).into()
}

/// The walk over the extension headers of an IPv6 packet: see [`ipv6::walk`] and [`Chain::pack`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_skb_extension_headers(
    skb: *mut __sk_buff,
    offset: u32,
    next_header: u32,
) -> u64 {
    if offset > MAX_OFFSET {
        return Chain { end: End::Cut, ..Chain::none(0) }.pack();
    }
    let ctx = TcContext::new(skb);
    let frame = SkbFrame::new(&ctx);
    ipv6::walk(frame.cursor().skip(offset), next_header as u8, frame.zero()).pack()
}

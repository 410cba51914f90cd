//! A frame as XDP hands it over: a linear area that is read through pointers, and, for jumbo
//! frames on drivers with multi-buffer support, fragments behind it that only a helper reaches.

use crate::{
    answer::{Asked, icmpgate_answer},
    ask, error, link,
    maps::SCRATCH as SCRATCH_MAP,
    member,
    multicast::fate,
    penalty::icmpgate_offence,
    pipeline::icmpgate_read,
};
use aya_ebpf::{
    bindings::xdp_md,
    helpers::{bpf_csum_diff, bpf_xdp_get_buff_len, bpf_xdp_load_bytes},
    programs::XdpContext,
};
use icmp_common::{
    abi::{PolicyTable, Rule, hook, origin},
    cursor::Cursor,
    opaque::opaque,
    parse::{Candidate, Frame, Packet},
    verdict::Reason,
    walk::Walk,
    wire::{
        ethernet, igmp, ipv4,
        ipv6::{self, Chain, End},
        mld::{self, Records},
        nd::{self, Options},
    },
};

/// How much is copied out of the fragments at once: the most that `bpf_csum_diff` takes before
/// Linux 6.13.
const BLOCK: u32 = 512;
/// A block, and a word of zeros behind its end.
pub const SCRATCH: usize = BLOCK as usize + 8;
/// The longest message that is summed in place: no driver's linear area holds more than a page of 4 KiB,
/// and each block of the longest is one that the verifier looks at. Longer ones go through the copy.
const MAX_LINEAR: u32 = 0xfff;
/// The furthest that a message may begin: the verifier takes packet offsets below 2^16, blocks included.
const MAX_OFFSET: u32 = 0x7fff;
/// Octets of a block of such a message; shorter ones aren't worth a call.
const LINE: u32 = 128;
/// The sums of every N-th word, which don't wait for each other.
type Sums<const N: usize> = [u64; N];
/// How many a long message has. A short one has one: more have no register for each.
const LANES: usize = 4;
/// The longest message is an IP packet's.
const MAX_LENGTH: u32 = 0xffff;
/// How much of a message is copied by one call: the longest takes eight. Whole blocks but for the last one, or the
/// octets behind would change places.
const PART: u32 = 16 * BLOCK;

/// A frame as a hook has it.
pub trait Buffer: Frame + Sized {
    /// One of [`hook`].
    const HOOK: u8;
    /// The octets of the whole frame. `end` is where its IP packet ends by its own account, 0 where there
    /// is none. Padding that lies in a buffer of its own isn't counted.
    fn octets(&self, end: u32) -> u64;
    /// The octets of the whole frame, whatever they are.
    fn whole(&self) -> u64;
    /// One of [`origin`]; only where something is sent.
    fn origin(&self) -> u8;
    /// Reads a packet and finds its faults: see [`icmpgate_read`].
    fn read(&self, candidate: Candidate, packet: &mut Packet) -> u32;
    /// The same frame, once [`Buffer::read`] may have moved it.
    fn again(&self) -> Self;
    /// The faults of an error: see [`error::icmpgate_error`].
    fn judge(&self, packet: &Packet) -> u64;
    /// The faults of a message for one link alone: see [`crate::link`].
    fn judge_link(&self, packet: &Packet) -> u64;
    /// What a rule asks of what arrives: see [`ask::of_arrived`].
    fn ask(&self, packet: &Packet, policy: &PolicyTable, rule: &Rule) -> u64;
    /// Remembers a request that is sent: see [`crate::request`].
    fn remember(&self, packet: &Packet);
    /// Learns who is a member of what: see [`crate::member`].
    fn learn(&self, packet: &Packet);
    /// The VLANs of the outer and the inner tag, 0 where there is none.
    fn vlans(&self) -> Option<[u16; 2]>;
    /// Copies octets of it, wherever they lie, to the front of `into`; whether it has them.
    fn load(&self, at: u32, into: &mut [u8], octets: u32) -> bool;
    /// What becomes of a frame that isn't ours, where that depends on who wants it: one of
    /// [`crate::multicast::fate`].
    fn fate(&self) -> u32;
    /// The faults of a redirect that this machine makes: see [`crate::redirect`].
    fn judge_redirect(&self, packet: &Packet) -> u32;
    /// Looks at a packet that exceeded its rule's limit by source, where the rule has a penalty: see
    /// [`crate::penalty`].
    fn offence(&self, rule: &Rule, packet: &Packet, hardware: u64);
    /// Puts the answer of a rule in the frame's place, if it may have one: see
    /// [`icmpgate_answer`]. The reason is that of the answer, or of what keeps it back.
    fn answer(&self, rule: &Rule, policy: &PolicyTable, asked: &mut Asked) -> Reason;
}

/// The frame of one run of the program.
#[derive(Clone, Copy)]
pub struct XdpFrame<'a> {
    ctx: &'a XdpContext,
    data: usize,
    data_end: usize,
}

impl<'a> XdpFrame<'a> {
    /// Loads the two pointers once.
    #[inline(always)]
    pub fn new(ctx: &'a XdpContext) -> Self {
        Self { ctx, data: ctx.data(), data_end: ctx.data_end() }
    }

    /// Whether the linear area has at least this many octets.
    #[inline(always)]
    fn linear_holds(&self, octets: u32) -> bool {
        self.data + octets as usize <= self.data_end
    }
}

impl Buffer for XdpFrame<'_> {
    const HOOK: u8 = hook::INGRESS;

    /// Without a call, which costs as much as all else that is done for traffic that isn't ours, where the
    /// packet ends with the linear area, or does but for Ethernet's padding. What follows in fragments could
    /// then only be padding, and no longer frame is taken for one that has none: buffers hold these.
    #[inline(always)]
    fn octets(&self, end: u32) -> u64 {
        let linear = (self.data_end - self.data) as u64;
        let end = u64::from(end);
        let is_whole = end == linear && linear <= ethernet::USUAL.into();
        if is_whole || end < linear && linear <= ethernet::SHORTEST.into() {
            return linear;
        }
        self.whole()
    }

    #[inline(always)]
    fn whole(&self) -> u64 {
        // SAFETY: the context is the program's own.
        unsafe { bpf_xdp_get_buff_len(self.ctx.ctx) }
    }

    #[inline(always)]
    fn origin(&self) -> u8 {
        origin::FORWARDED
    }

    #[inline(always)]
    fn read(&self, candidate: Candidate, packet: &mut Packet) -> u32 {
        icmpgate_read(self.ctx.ctx, candidate.is_v6.into(), candidate.start, packet)
    }

    /// The pointers are loaded once more, and so are without what the verifier has learnt of them: it would follow each
    /// number of tags on its own through all that is still to come.
    #[inline(always)]
    fn again(&self) -> Self {
        // SAFETY: the context is the program's own.
        let (data, data_end) = unsafe {
            let ctx = self.ctx.ctx;
            ((&raw const (*ctx).data).read_volatile(), (&raw const (*ctx).data_end).read_volatile())
        };
        Self { data: data as usize, data_end: data_end as usize, ..*self }
    }

    #[inline(always)]
    fn judge(&self, packet: &Packet) -> u64 {
        error::icmpgate_error(self.ctx.ctx, packet)
    }

    #[inline(always)]
    fn judge_link(&self, packet: &Packet) -> u64 {
        link::judge(self.ctx.ctx, packet)
    }

    #[inline(always)]
    fn ask(&self, packet: &Packet, policy: &PolicyTable, rule: &Rule) -> u64 {
        ask::of_arrived(self.ctx.ctx, packet, policy, rule)
    }

    /// What arrives is none of this machine's.
    #[inline(always)]
    fn remember(&self, _packet: &Packet) {}

    #[inline(always)]
    fn learn(&self, packet: &Packet) {
        if member::icmpgate_learn(self.ctx.ctx, packet) == member::RECORDS {
            member::icmpgate_learn_records(self.ctx.ctx, packet);
        }
    }

    #[inline(always)]
    fn vlans(&self) -> Option<[u16; 2]> {
        ethernet::vlans(self.cursor())
    }

    #[inline(always)]
    fn load(&self, at: u32, into: &mut [u8], octets: u32) -> bool {
        octets as usize <= into.len()
            // SAFETY: there is room for them, and the context is the program's own.
            && unsafe { bpf_xdp_load_bytes(self.ctx.ctx, at, into.as_mut_ptr().cast(), octets) == 0 }
    }

    /// What arrives goes on. Of PIM it is learnt where a router is; whether a frame is PIM's, the function looks: here,
    /// it is looked at again for every way through the parser.
    #[inline(always)]
    fn fate(&self) -> u32 {
        member::icmpgate_learn_router(self.ctx.ctx);
        fate::GOES
    }

    /// What arrives is none.
    #[inline(always)]
    fn judge_redirect(&self, _packet: &Packet) -> u32 {
        0
    }

    #[inline(always)]
    fn offence(&self, rule: &Rule, packet: &Packet, hardware: u64) {
        icmpgate_offence(self.ctx.ctx, rule, packet, hardware);
    }

    #[inline(always)]
    fn answer(&self, rule: &Rule, policy: &PolicyTable, asked: &mut Asked) -> Reason {
        Reason(icmpgate_answer(self.ctx.ctx, rule, policy, asked) as u8)
    }
}

impl Frame for XdpFrame<'_> {
    #[inline(always)]
    fn cursor(&self) -> Cursor<'_> {
        // SAFETY: the kernel guarantees data..data_end for the run of the program.
        unsafe { Cursor::from_range(self.data as *const u8, self.data_end as *const u8) }
    }

    #[inline(always)]
    fn holds(&self, octets: u32) -> bool {
        self.linear_holds(octets & 0xffff) && octets <= 0xffff || self.whole() >= u64::from(octets)
    }

    #[inline(always)]
    fn sum(&self, offset: u32, length: u32) -> Option<u64> {
        // Opaque as in `icmpgate_sum`, which most messages are too short to be worth the call of.
        let linear = opaque(self.data_end - self.data);
        if length < LINE && offset <= MAX_OFFSET && (offset + length) as usize <= linear {
            return self.sum_short(self.data + offset as usize, length, [0]);
        }
        match icmpgate_sum(self.ctx.ctx, offset, length) {
            NO_SUM => None,
            sum => Some(sum),
        }
    }

    /// The upper half of a length: zero, but neither the compiler nor the verifier can know.
    #[inline(always)]
    fn zero(&self) -> u32 {
        ((self.data_end.wrapping_sub(self.data)) >> 32) as u32
    }

    #[inline(always)]
    fn extension_headers(&self, offset: u32, next_header: u8) -> Chain {
        Chain::unpack(icmpgate_extension_headers(self.ctx.ctx, offset, next_header.into()))
    }

    #[inline(always)]
    fn alerts_routers(&self, offset: u32, length: u32) -> bool {
        icmpgate_alerts_routers(self.ctx.ctx, offset, length) != 0
    }

    #[inline(always)]
    fn options(&self, offset: u32, length: u32) -> Options {
        Options::from_raw(icmpgate_options(self.ctx.ctx, offset, length))
    }

    #[inline(always)]
    fn records(&self, offset: u32, length: u32, address: u32) -> Records {
        Records::from_raw(icmpgate_records(self.ctx.ctx, offset, length, address))
    }
}

impl XdpFrame<'_> {
    /// By block sizes that are constants: a varying length proves no packet range.
    #[inline(always)]
    fn sum_linear(&self, offset: u32, length: u32) -> Option<u64> {
        let base = self.data + offset as usize;
        let mut sums = [0; LANES];
        let lines = length / LINE;
        for i in 0..MAX_LINEAR / LINE {
            if i >= lines {
                break;
            }
            self.add::<{ LINE as usize }, LANES>(base + (i * LINE) as usize, &mut sums)?;
        }
        self.sum_short(base, length, sums)
    }

    /// Adds the last `length` % [`LINE`] of `length` octets from `base`. Each block's place follows from the
    /// length alone, not from the blocks before it, so the verifier's states meet again after each.
    #[inline(always)]
    fn sum_short<const N: usize>(
        &self,
        base: usize,
        length: u32,
        mut sums: Sums<N>,
    ) -> Option<u64> {
        macro_rules! blocks {
            ($($size:literal)+) => { $(
                if length & $size != 0 {
                    let at = base + (length & MAX_LINEAR & !(2 * $size - 1)) as usize;
                    self.add::<$size, N>(at, &mut sums)?;
                }
            )+ };
        }
        blocks!(64);
        // What `ping` sends unless it is told otherwise.
        if length.is_multiple_of(64) {
            return Some(sums.into_iter().sum());
        }
        blocks!(32 16 8 4);
        let mut sum = sums.into_iter().sum::<u64>();
        // SAFETY: data_end bounds the cursors, whatever the place.
        let tail = |at: usize| unsafe {
            Cursor::from_range((base + at) as *const u8, self.data_end as *const u8)
        };
        if length & 2 != 0 {
            sum += u64::from(tail((length & MAX_LINEAR & !3) as usize).take::<u16>()?);
        }
        if length & 1 != 0 {
            let [last] = tail((length & MAX_LINEAR & !1) as usize).take::<[u8; 1]>()?;
            sum += u64::from(u16::from_ne_bytes([last, 0]));
        }
        Some(sum)
    }

    /// Adds a block, word by word: that costs less than the helper for it.
    #[inline(always)]
    fn add<const SIZE: usize, const N: usize>(&self, at: usize, sums: &mut Sums<N>) -> Option<()> {
        if at + SIZE > self.data_end {
            return None;
        }
        for i in 0..SIZE / 4 {
            // SAFETY: at..at+SIZE lies within the linear area.
            let word = unsafe { ((at + i * 4) as *const u32).read_unaligned() };
            sums[i % N] += u64::from(word);
        }
        Some(())
    }
}

// The loops below are *global* functions: the verifier looks at such a function once, for all
// arguments, and not again at each place and in each state that calls it. As parts of the pipeline
// they cost more than the million instructions that the verifier is ready to look at. (`bpf_loop`
// would do as well, but only where the JIT is on.)

/// What [`icmpgate_sum`] says where the frame doesn't have the octets: no sum of 32-bit words.
const NO_SUM: u64 = u64::MAX;

/// The one's complement sum of octets of the frame: see [`Frame::sum`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_sum(ctx: *mut xdp_md, offset: u32, length: u32) -> u64 {
    if offset > MAX_OFFSET || length > MAX_LENGTH {
        return NO_SUM;
    }
    let ctx = XdpContext::new(ctx);
    let frame = XdpFrame::new(&ctx);
    // Not decided by a comparison of pointers, which would imply those of the blocks: the compiler
    // would take these away, and the verifier wouldn't see why.
    let linear = opaque(frame.data_end - frame.data);
    let sum = if length <= MAX_LINEAR && (offset + length) as usize <= linear {
        frame.sum_linear(offset, length)
    } else {
        sum_fragmented(ctx.ctx, offset, length).map(u64::from)
    };
    sum.unwrap_or(NO_SUM)
}

/// The walk over the extension headers of an IPv6 packet: see [`ipv6::walk`] and [`Chain::pack`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_extension_headers(
    ctx: *mut xdp_md,
    offset: u32,
    next_header: u32,
) -> u64 {
    if offset > MAX_OFFSET {
        return Chain { end: End::Cut, ..Chain::none(0) }.pack();
    }
    let ctx = XdpContext::new(ctx);
    let frame = XdpFrame::new(&ctx);
    ipv6::walk(frame.cursor().skip(offset), next_header as u8, frame.zero()).pack()
}

/// The walk over the group records of a report: see [`mld::records`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_records(
    ctx: *mut xdp_md,
    offset: u32,
    length: u32,
    address: u32,
) -> u32 {
    if offset > MAX_OFFSET {
        return Records::BeyondBound as u32;
    }
    let context = XdpContext::new(ctx);
    let frame = XdpFrame::new(&context);
    let message = frame.cursor().skip(offset);
    let some = |walk: Walk| Walk(icmpgate_some_records(ctx, offset, length, address, walk.0));
    mld::records(message, some) as u32
}

/// A part of it: see [`mld::some_records`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_some_records(
    ctx: *mut xdp_md,
    offset: u32,
    length: u32,
    address: u32,
    walk: u64,
) -> u64 {
    if offset > MAX_OFFSET || length > MAX_LENGTH {
        return Walk::ended(Records::BeyondBound as u32).0;
    }
    let ctx = XdpContext::new(ctx);
    let frame = XdpFrame::new(&ctx);
    let message = frame.cursor().skip(offset);
    // One walk, of either length that the compiler can't tell apart: it would make two, of as many states each.
    let address = opaque((address & (mld::ADDRESS | igmp::ADDRESS)) as usize) as u32;
    mld::some_records(message, length, address, Walk(walk)).0
}

/// Whether IPv4 options have a router alert: see [`ipv4::alerts_routers`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_alerts_routers(ctx: *mut xdp_md, offset: u32, length: u32) -> u32 {
    if offset > MAX_OFFSET || length > ipv4::MAX_OPTIONS {
        return 0;
    }
    let ctx = XdpContext::new(ctx);
    let frame = XdpFrame::new(&ctx);
    ipv4::alerts_routers(frame.cursor().skip(offset), length).into()
}

/// The walk over the options of neighbour discovery: see [`nd::options`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_options(ctx: *mut xdp_md, offset: u32, length: u32) -> u32 {
    let some = |walk: Walk| Walk(icmpgate_some_options(ctx, offset, length, walk.0));
    nd::options(length, some) as u32
}

/// A part of it: see [`nd::some_options`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_some_options(
    ctx: *mut xdp_md,
    offset: u32,
    length: u32,
    walk: u64,
) -> u64 {
    if offset > MAX_OFFSET || length > MAX_LENGTH {
        return Walk::ended(Options::BeyondBound as u32).0;
    }
    let ctx = XdpContext::new(ctx);
    let frame = XdpFrame::new(&ctx);
    let options = frame.cursor().skip(offset);
    nd::some_options(options, length, Walk(walk)).0
}

/// The sum of octets of the frame that needn't lie in one piece.
#[inline(always)]
fn sum_fragmented(ctx: *mut xdp_md, offset: u32, length: u32) -> Option<u32> {
    let (mut sum, mut done) = (0, 0);
    for _ in 0..MAX_LENGTH.div_ceil(PART) {
        let part = core::cmp::min(length - done, PART);
        match icmpgate_sum_part(ctx, offset + done, part, sum) {
            NO_SUM => return None,
            found => sum = found as u32,
        }
        done += part;
        if done >= length {
            break;
        }
    }
    Some(sum)
}

/// Adds at most [`PART`] octets of the frame to a sum.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_sum_part(ctx: *mut xdp_md, offset: u32, length: u32, sum: u32) -> u64 {
    if length == 0 {
        return sum.into();
    }
    let Some(scratch) = SCRATCH_MAP.get_ptr_mut(0) else { return NO_SUM };
    let (mut sum, mut done) = (sum, 0);
    for _ in 0..PART / BLOCK {
        if done + BLOCK >= length {
            break;
        }
        match sum_copied(ctx, offset + done, scratch.cast(), BLOCK, sum) {
            Some(found) => sum = found,
            None => return NO_SUM,
        }
        done += BLOCK;
    }
    // What is left, 1 to BLOCK octets, written so that the verifier sees that it isn't zero
    // (`invalid zero-sized read`).
    let left = BLOCK - (length.wrapping_neg() & (BLOCK - 1));
    sum_copied(ctx, offset + done, scratch.cast(), left, sum).map_or(NO_SUM, u64::from)
}

/// Copies `length` octets, at most [`BLOCK`], and adds them to a sum.
#[inline(always)]
fn sum_copied(
    ctx: *mut xdp_md,
    offset: u32,
    scratch: *mut u8,
    length: u32,
    seed: u32,
) -> Option<u32> {
    // SAFETY: the scratch value has BLOCK octets, and length is at most that.
    let failed = unsafe { bpf_xdp_load_bytes(ctx, offset, scratch.cast(), length) };
    if failed != 0 {
        return None;
    }
    // SAFETY: the scratch value goes on for 8 octets behind BLOCK.
    unsafe { scratch.add(length as usize).cast::<u32>().write_unaligned(0) };
    let padded = (length + 3) & !3;
    // SAFETY: padded is at most BLOCK.
    let sum = unsafe { bpf_csum_diff(core::ptr::null_mut(), 0, scratch.cast(), padded, seed) };
    Some(sum as u32)
}

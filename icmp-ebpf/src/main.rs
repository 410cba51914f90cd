//! The kernel program: its entry points. What they do is in [`pipeline`].

#![no_std]
#![no_main]
// AtomicU64 has no compare-exchange on this target; the intrinsic behind it has.
#![feature(core_intrinsics)]
#![expect(missing_docs, reason = "the xdp macro repeats documented functions without their docs")]
#![expect(internal_features, reason = "core_intrinsics, for compare-and-swap")]

mod answer;
mod ask;
mod atomic;
mod bench;
mod cells;
mod clock;
mod count;
mod decide;
mod error;
mod fib;
mod flow;
mod frame;
mod key;
mod limit;
mod link;
mod local;
mod maps;
mod member;
mod mirror;
mod multicast;
mod penalty;
mod pipeline;
mod redirect;
mod redirected;
mod reject;
mod reply;
mod request;
mod routers;
mod rule;
mod sent;
mod share;
mod skb;
mod socket;
mod zone;

use aya_ebpf::{
    bindings::xdp_action,
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use frame::XdpFrame;
use icmp_common::{
    abi::tc_action,
    verdict::{Mode, Outcome, Reason, Verdict},
};
use pipeline::gate;
use skb::SkbFrame;

/// What arrives.
#[xdp(frags)]
pub fn icmpgate_ingress(ctx: XdpContext) -> u32 {
    match gate(&XdpFrame::new(&ctx)) {
        Verdict::Drop => xdp_action::XDP_DROP,
        Verdict::Tx => xdp_action::XDP_TX,
        Verdict::Pass => xdp_action::XDP_PASS,
    }
}

/// What is sent: what this machine generates and what it forwards.
#[classifier]
pub fn icmpgate_egress(ctx: TcContext) -> i32 {
    match gate(&SkbFrame::new(&ctx)) {
        Verdict::Drop => tc_action::SHOT,
        _ => tc_action::UNSPEC,
    }
}

/// Says that a map operation failed that cannot fail, to whoever runs the daemon. A function of its
/// own, so that the log's buffer stays out of the pipeline's stack.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_internal_error() -> u32 {
    // The log's ring buffer needs no context, though the macro asks for one.
    aya_log_ebpf::error!((), "a map operation failed that cannot fail");
    0
}

/// The reason of a packet that met a map operation that cannot fail, and failed.
const INTERNAL_ERROR: Outcome = Outcome::new(Reason::INTERNAL_ERROR, Mode::Enforce);

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // A panic that can be reached is an endless loop, which the verifier refuses to load.
    loop {}
}

/// The kernel takes GPL-only helpers from programs that name a licence compatible with it.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

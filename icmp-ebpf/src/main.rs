//! The kernel program: the pipeline as a table of contents.
//!
//! Every packet of ours has exactly one verdict and one reason, and is counted once, in
//! [`count::finish`]. What isn't ours passes at once. What is ours and malformed is dropped with
//! its reason, unless the policy looks away from that reason. The parser and the checks are
//! `icmp-common`'s: the same source that the host's tests run.

#![no_std]
#![no_main]
// AtomicU64 has no compare-exchange on this target; the intrinsic behind it has.
#![feature(core_intrinsics)]
#![expect(missing_docs, reason = "the xdp macro repeats documented functions without their docs")]
#![expect(internal_features, reason = "core_intrinsics, for compare-and-swap")]

mod answer;
mod atomic;
mod bench;
mod cells;
mod clock;
mod count;
mod decide;
mod error;
mod frame;
mod key;
mod limit;
mod local;
mod maps;
mod penalty;
mod reject;
mod reply;
mod skb;

use aya_ebpf::{
    bindings::xdp_action,
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use frame::{Buffer, XdpFrame};
use icmp_common::{
    abi::{CLASS_NOT_OURS, RULE_NONE, Trace, tc_action},
    parse::parse,
    validate::{note_error, validate},
    verdict::{Mode, Outcome, Reason, Verdict},
};
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

#[inline(always)]
fn gate<F: Buffer>(frame: &F) -> Verdict {
    let (outcome, trace) = stages(frame);
    if outcome.reason() == Reason::INTERNAL_ERROR {
        icmpgate_internal_error();
    }
    count::finish(frame, outcome, trace);
    outcome.verdict()
}

#[inline(always)]
fn stages<F: Buffer>(frame: &F) -> (Outcome, Trace) {
    let mut packet = match parse(frame) {
        Ok(packet) => packet,
        Err(reason) => {
            let trace = Trace { class: CLASS_NOT_OURS, rule: RULE_NONE, ..Trace::default() };
            return (Outcome::new(reason, Mode::Enforce), trace);
        }
    };
    if F::FROM_WIRE {
        validate(frame, &mut packet);
    } else {
        note_error(&mut packet);
    }
    error::judge(frame, &mut packet);
    decide::decide(frame, &packet)
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

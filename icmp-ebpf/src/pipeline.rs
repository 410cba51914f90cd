//! The pipeline as a table of contents.
//!
//! Every packet of ours has exactly one verdict and one reason, and is counted once, in
//! [`count::finish`]. What isn't ours passes at once. What is ours and malformed is dropped with
//! its reason, unless the policy looks away from that reason. The parser and the checks are
//! `icmp-common`'s: the same source that the host's tests run.
//!
//! It has three parts, and what it knows of the packet lies in a map between them. A glance tells nearly
//! all that isn't ours. Reading a packet is a global function, which the verifier looks at once: with the
//! rest in one piece, all that rules can make of a packet is walked again for every way through the parser
//! and the checks (on 6.1, six times as many instructions). What concludes is the entry's own again: a call
//! costs 5 ns where returns are guarded against speculation. Side by side, they also share the stack.
//! So does what stands between them, for what is sent: the routes of a redirect.

use crate::{
    count,
    decide::{Decision, decide},
    error,
    frame::{Buffer, XdpFrame},
    icmpgate_internal_error,
    maps::PACKET,
    member,
    multicast::fate,
    redirect, request, rule,
    skb::SkbFrame,
};
use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    programs::{TcContext, XdpContext},
};
use core::hint::black_box;
use icmp_common::{
    abi::{CLASS_NOT_OURS, RULE_NONE, policy_flag},
    flow::state,
    parse::{self, Candidate, Other, Packet, find},
    plain,
    validate::{note_stage, validate},
    verdict::{Mode, Outcome, Reason, Verdict},
};

/// Decides on a frame, and counts it.
#[inline(always)]
pub fn gate<F: Buffer>(frame: &F) -> Verdict {
    let other = match find(frame) {
        Ok(candidate) => match PACKET.get_ptr_mut(0) {
            // SAFETY: this CPU's own element, which nothing else uses while this packet is looked at.
            Some(packet) => match read_either_way(frame, candidate, unsafe { &mut *packet }) {
                0 => {
                    // SAFETY: as above.
                    let packet = unsafe { &mut *packet };
                    redirect::judge(frame, packet);
                    return conclude(&frame.again(), packet);
                }
                reason => Other { reason: Reason(reason as u8 - 1), end: 0, to_group: true },
            },
            None => Other { reason: Reason::INTERNAL_ERROR, end: 0, to_group: false },
        },
        // Most of all there is, for which the rest would be in the way.
        Err(Other { reason: Reason::NOT_ICMP, end, to_group: false }) => {
            return pass_by(frame, Outcome::NOT_ICMP, end);
        }
        // Opaque: what follows is then one way, not one for each reason.
        Err(other) => Other { reason: Reason(black_box(other.reason.0)), ..other },
    };
    // Nothing but multicast that is sent has more said about it.
    let fate = if other.to_group { frame.fate() } else { fate::GOES };
    let outcome = match fate {
        fate::GOES => Outcome::new(other.reason, mode::<F>(other.reason)),
        fate::STAYS => Outcome::new(Reason::NO_MEMBER, Mode::Enforce),
        _ => Outcome::new(Reason::NO_MEMBER, Mode::Observe),
    };
    pass_by(frame, outcome, other.end)
}

/// Counts what isn't ours. It passes but for two reasons: it may hide what is, or nobody listens to it.
#[inline(always)]
fn pass_by<F: Buffer>(frame: &F, outcome: Outcome, end: u32) -> Verdict {
    let decision =
        Decision { outcome, rule: RULE_NONE, class: CLASS_NOT_OURS, faults: 0, flow: state::NONE };
    count::finish::<F>(frame.octets(end), decision, None);
    outcome.verdict()
}

/// Whether the reason why a frame isn't looked at is carried out. Only of what would be dropped it depends on the policy.
#[inline(always)]
fn mode<F: Buffer>(reason: Reason) -> Mode {
    let observes = || rule::policy(F::HOOK).is_some_and(|p| p.flags & policy_flag::OBSERVE != 0);
    if reason == Reason::PRIORITY_TAGS && observes() { Mode::Observe } else { Mode::Enforce }
}

const fn passes(reason: Reason) -> bool {
    matches!(Outcome::new(reason, Mode::Enforce).would(), Verdict::Pass)
}
const _: () = assert!(passes(Reason::NOT_ICMP));
const _: () = assert!(passes(Reason::VLAN_TAGS_BEYOND_BOUND) && passes(Reason::INTERNAL_ERROR));

/// Reads a packet, the short way where that is enough.
#[inline(always)]
fn read_either_way<F: Buffer>(frame: &F, candidate: Candidate, packet: &mut Packet) -> u32 {
    if F::FROM_WIRE && plain::read(frame, candidate, packet) {
        return 0;
    }
    frame.read(candidate, packet)
}

/// The first half, for what may be ours: reads a packet and finds its faults. The result is 0, or the
/// [`Reason`] why it isn't ours, and 1 more.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_read(
    ctx: *mut xdp_md,
    is_v6: u32,
    start: u32,
    packet: *mut Packet,
) -> u32 {
    // SAFETY: the only caller hands over a reference, and the verifier checks the size that BTF
    // says. It also wants to see that it isn't null.
    let Some(packet) = (unsafe { packet.as_mut() }) else { return NOT_ICMP };
    let ctx = XdpContext::new(ctx);
    read(&XdpFrame::new(&ctx), is_v6, start, packet)
}

/// The same of what is sent, of which as much is made linear as is read.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_skb_read(
    skb: *mut __sk_buff,
    is_v6: u32,
    start: u32,
    packet: *mut Packet,
) -> u32 {
    // SAFETY: as above.
    let Some(packet) = (unsafe { packet.as_mut() }) else { return NOT_ICMP };
    let ctx = TcContext::new(skb);
    read(&SkbFrame::pulled(&ctx), is_v6, start, packet)
}

/// What the functions above say of a packet that isn't ours.
const NOT_ICMP: u32 = Reason::NOT_ICMP.0 as u32 + 1;

#[inline(always)]
fn read<F: Buffer>(frame: &F, is_v6: u32, start: u32, packet: &mut Packet) -> u32 {
    match parse::read(frame, Candidate { is_v6: is_v6 != 0, start }.anywhere(), packet) {
        Ok(()) => {
            if F::FROM_WIRE {
                validate(frame, packet);
            } else {
                let _ = note_stage(packet);
            }
            0
        }
        Err(reason) => u32::from(reason.0) + 1,
    }
}

/// The second half, for packets of ours: judges errors, decides and counts.
#[inline(always)]
fn conclude<F: Buffer>(frame: &F, packet: &Packet) -> Verdict {
    let octets = frame.octets(packet.offset.wrapping_add(packet.length));
    let faults = error::judge(frame, packet);
    let decision = decide(frame, packet, faults, octets);
    if decision.outcome.reason() == Reason::INTERNAL_ERROR {
        icmpgate_internal_error();
    }
    count::finish::<F>(octets, decision, Some(packet));
    let verdict = decision.outcome.verdict();
    if let Verdict::Pass = verdict {
        request::remember(frame, packet);
        member::learn(frame, packet, decision.faults);
    }
    verdict
}

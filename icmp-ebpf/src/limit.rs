//! The limits of a rule: `icmp_common::bucket` over words that all CPUs share.
//!
//! In the order of cost, and so that nobody learns from one bucket what others do:
//!
//! 1. The buckets in total are *peeked* at. What they have no room for is refused at once: during a
//!    flood that is most, for a few nanoseconds, and it makes no cell.
//! 2. The buckets by key are charged. What one key sends beyond its own limit draws on no total, so
//!    one source doesn't starve another.
//! 3. The buckets in total are charged, by a random multiple of the cost.
//!
//! This is the order that Linux has taken for its own ICMP limits (commits b38e7819cae9 and
//! 8c2bd38b95f7; CVE-2020-25705, CVE-2024-47678).
//!
//! While *established* keys draw on a total, a quarter of its burst is theirs alone: see
//! `icmp_common::cells`.
//!
//! A total that is a *share* of the interface's speed has a bucket for each interface: see `share`.

use crate::{
    atomic,
    cells::{self, Charged},
    clock::Clock,
    frame::Buffer,
    key, local,
    maps::{BUCKETS, LIMIT_COUNTERS},
    penalty,
    share::{self, Draw},
};
use aya_ebpf::helpers::bpf_get_prandom_u32;
use icmp_common::{
    abi::{Bucket, KeyedLimit, LimitCounter, PolicyTable, Rule, TotalLimit, limit_flag, limit_key},
    bucket::{Draws, UNITS_PER_S, has, octets_cost, reach, spent},
    opaque::either,
    parse::Packet,
    share::depth_for,
    verdict::Reason,
};

/// How often a compare-and-swap is tried before the packet counts as beyond the limit. Each loss
/// means that another CPU's packet was admitted.
pub const TRIES: u32 = 8;
/// How long a total keeps room for the established after one of them drew on it.
const RECENT: u64 = UNITS_PER_S;

/// Beside the reason that [`icmpgate_limits`] gives: it was a limit by source that refused.
const BY_SOURCE: u32 = 1 << 8;

/// Asks the limits of a rule; where all admit the packet, all are charged.
#[inline(always)]
pub fn admit<F: Buffer>(
    frame: &F,
    packet: &Packet,
    octets: u64,
    policy: &PolicyTable,
    rule: &Rule,
) -> Reason {
    let penalised = rule.penalty.after != 0;
    let [total, keyed] = [rule.totals[0].cost, rule.keyed[0].cost];
    // A limit that stands alone is charged here: the call costs as much as all that it is spared.
    if keyed == 0 && rule.totals[1].cost == 0 && !penalised {
        let subject = Subject { policy, packet, octets, hardware: 0 };
        return Reason(say(charge_total(&subject, &rule.totals[0], &mut Clock::new(), false)) as u8);
    }
    // Most rules don't ask where a frame is from.
    let hardware =
        if penalised || packet.source.is_unspecified() { key::hardware(frame) } else { 0 };
    if penalised && penalty::icmpgate_is_boxed(rule, packet, hardware) != 0 {
        return Reason::PENALTY_BOX;
    }
    let found = if total == 0 && rule.keyed[1].cost == 0 {
        let subject = Subject { policy, packet, octets, hardware };
        let (mut clock, room) = (Clock::new(), Room { strangers: true, plenty: true });
        say(charge_keyed(&subject, &rule.keyed[0], &mut clock, room, &mut false))
    } else {
        icmpgate_limits(rule, policy, packet, octets, hardware)
    };
    if penalised && found & BY_SOURCE != 0 {
        frame.offence(rule, packet, hardware);
    }
    Reason(found as u8)
}

/// Asks the limits of a rule about a packet that has a source.
#[inline(always)]
pub fn ask_rule(rule: &Rule, policy: &PolicyTable, packet: &Packet, octets: u64) -> Reason {
    Reason(icmpgate_limits(rule, policy, packet, octets, 0) as u8)
}

/// Asks the limits of a rule about a packet of so many octets, from this hardware address where that
/// matters ([`key::hardware`]); the result is a [`Reason`], and [`BY_SOURCE`]. A global function,
/// which the verifier looks at once: as part of the pipeline, all its ways are walked again in every
/// state that reaches it (`BPF program is too large`).
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_limits(
    rule: *const Rule,
    policy: *const PolicyTable,
    packet: *const Packet,
    octets: u64,
    hardware: u64,
) -> u32 {
    // SAFETY: the only callers hand over references, and the verifier checks the sizes that BTF
    // says. It also wants to see that they aren't null.
    let (Some(rule), Some(policy), Some(packet)) =
        (unsafe { (rule.as_ref(), policy.as_ref(), packet.as_ref()) })
    else {
        return Reason::INTERNAL_ERROR.0.into();
    };
    say(ask(rule, &Subject { policy, packet, octets, hardware }))
}

/// What limits came to, as [`icmpgate_limits`] says it.
#[inline(always)]
fn say(came_to: Result<(), Refused>) -> u32 {
    match came_to {
        Ok(()) => Reason::WITHIN_LIMIT.0.into(),
        Err(Refused { reason, by_source }) => {
            u32::from(reason.0) | if by_source { BY_SOURCE } else { 0 }
        }
    }
}

/// What limits look at.
struct Subject<'a> {
    policy: &'a PolicyTable,
    packet: &'a Packet,
    octets: u64,
    hardware: u64,
}

/// What a total has left for whom, as step 1 finds it.
#[derive(Clone, Copy)]
struct Room {
    /// For strangers as well.
    strangers: bool,
    /// So much that a key that is charged now counts as well-behaved.
    plenty: bool,
}

/// Why a limit refuses a packet.
struct Refused {
    reason: Reason,
    /// It is a limit by source.
    by_source: bool,
}

/// Does one thing for each limit of a kind. Not a loop: where one ends in a call, Linux 6.1 takes it for an
/// endless one (`back-edge from insn`).
macro_rules! each {
    ($limits:expr, |$limit:ident| $thing:expr) => {
        let [first, second] = &$limits;
        if first.cost != 0 {
            let $limit = first;
            $thing?;
            if second.cost != 0 {
                let $limit = second;
                $thing?;
            }
        }
    };
}

#[inline(always)]
fn ask(rule: &Rule, subject: &Subject<'_>) -> Result<(), Refused> {
    let mut clock = Clock::new();
    let mut room = Room { strangers: either(true), plenty: either(true) };
    let mut established = either(false);
    each!(rule.totals, |total| ask_total(subject, total, &mut clock, &mut room));
    each!(rule.keyed, |keyed| charge_keyed(subject, keyed, &mut clock, room, &mut established));
    each!(rule.totals, |total| charge_total(subject, total, &mut clock, established));
    Ok(())
}

/// Step 1: peeks at a total.
#[inline(always)]
fn ask_total(
    subject: &Subject<'_>,
    total: &TotalLimit,
    clock: &mut Clock,
    room: &mut Room,
) -> Result<(), Refused> {
    let Some(draw) = draw(subject, total) else { return Ok(()) };
    let Some(left) = peek(total, draw, clock) else {
        return Err(refuse(total.limit, total.flags, false));
    };
    // Opaque, as below: each set of constants would be a state of its own in which all that follows is
    // verified again.
    room.strangers = either(room.strangers & left.strangers);
    room.plenty = either(room.plenty & left.plenty);
    Ok(())
}

/// Step 2: charges a limit by key.
#[inline(always)]
fn charge_keyed(
    subject: &Subject<'_>,
    keyed: &KeyedLimit,
    clock: &mut Clock,
    room: Room,
    established: &mut bool,
) -> Result<(), Refused> {
    if keyed.flags & limit_flag::EXCEPT_GATEWAY != 0 && local::is_gateway(subject.packet.source) {
        return Ok(());
    }
    match charge_key(subject, keyed, clock, room) {
        Charged::Yes => {}
        Charged::YesEstablished => *established = either(true),
        _ => {
            let by_source = keyed.key == limit_key::SOURCE;
            return Err(refuse(keyed.limit, keyed.flags, by_source));
        }
    }
    if let Some(counter) = counter(keyed.limit) {
        counter.passed += 1;
    }
    Ok(())
}

/// Step 3: charges a total.
#[inline(always)]
fn charge_total(
    subject: &Subject<'_>,
    total: &TotalLimit,
    clock: &mut Clock,
    established: bool,
) -> Result<(), Refused> {
    let Some(draw) = draw(subject, total) else { return Ok(()) };
    // There is one for each limit.
    let Some(counter) = counter(total.limit) else { return Ok(()) };
    if charge(total, draw, clock, established, &mut counter.draws) {
        counter.passed += 1;
        return Ok(());
    }
    counter.refused += 1;
    Err(refused(total.flags, false))
}

#[inline(always)]
fn refuse(limit: u32, flags: u8, by_source: bool) -> Refused {
    if let Some(counter) = counter(limit) {
        counter.refused += 1;
    }
    refused(flags, by_source)
}

#[inline(always)]
const fn refused(flags: u8, by_source: bool) -> Refused {
    let is_reserve = flags & limit_flag::RESERVE != 0;
    let reason = if is_reserve { Reason::RESERVE_EXCEEDED } else { Reason::OVER_LIMIT };
    Refused { reason, by_source }
}

/// What a limit has for this CPU.
#[inline(always)]
fn counter(limit: u32) -> Option<&'static mut LimitCounter> {
    // SAFETY: this CPU's own element. Both hooks run with softirqs off, so neither runs within the
    // other; and nothing here holds it while it calls what may look it up.
    LIMIT_COUNTERS.get_ptr_mut(limit).map(|counter| unsafe { &mut *counter })
}

/// What a packet costs under a limit.
#[inline(always)]
fn cost_of(subject: &Subject<'_>, cost: u64, flags: u8) -> u64 {
    if flags & limit_flag::OCTETS != 0 { octets_cost(cost, subject.octets as u32) } else { cost }
}

/// What a packet asks of a total; `None` where that isn't kept here.
#[inline(always)]
fn draw(subject: &Subject<'_>, total: &TotalLimit) -> Option<Draw> {
    if total.flags & limit_flag::SHARE != 0 {
        return share::draw(total, subject.octets);
    }
    let cost = cost_of(subject, total.cost, total.flags);
    Some(Draw { bucket: total.limit, cost, depth: total.depth, reach: reach(total.depth) })
}

/// What a total has left; `None` where not even one packet more.
#[inline(always)]
fn peek(total: &TotalLimit, draw: Draw, clock: &mut Clock) -> Option<Room> {
    let Draw { bucket, cost, depth, reach } = draw;
    let Some(bucket) = BUCKETS.get_ptr_mut(bucket) else {
        return Some(Room { strangers: true, plenty: true });
    };
    let now = clock.now(total.flags);
    // SAFETY: fields of an element of the map, read one by one.
    let (tat, established) = unsafe {
        (atomic::load(&raw const (*bucket).tat), atomic::load(&raw const (*bucket).established))
    };
    let spent = spent(tat, now, reach);
    if !has(spent, cost, depth) {
        return None;
    }
    let theirs = if now.wrapping_sub(established) < RECENT { depth / 4 } else { 0 };
    let strangers = has(spent, cost, depth_for(depth - theirs, cost));
    Some(Room { strangers, plenty: has(spent, cost, depth / 2) })
}

/// Charges the bucket of a packet's key; where that has none, the limit's own, which all
/// such keys share, and which so is random like any that strangers share.
#[inline(always)]
fn charge_key(subject: &Subject<'_>, keyed: &KeyedLimit, clock: &mut Clock, room: Room) -> Charged {
    let now = clock.now(keyed.flags);
    let cost = cost_of(subject, keyed.cost, keyed.flags);
    let key = key::of(subject.packet, subject.hardware, keyed);
    let charged = cells::charge(subject.policy, keyed, key, now, cost, room.strangers, room.plenty);
    if charged == Charged::NoCell {
        let (bucket, depth) = (keyed.limit, keyed.depth);
        let times = counter(bucket).map_or(1, |counter| random(&mut counter.draws));
        if charge_bucket(&Draw { bucket, cost, depth, reach: reach(depth) }, times, now) {
            return Charged::Yes;
        }
    }
    charged
}

/// Charges a total. It may have been spent since it was peeked at.
#[inline(always)]
fn charge(
    total: &TotalLimit,
    draw: Draw,
    clock: &mut Clock,
    established: bool,
    draws: &mut Draws,
) -> bool {
    let now = clock.now(total.flags);
    let times = if total.flags & limit_flag::RANDOM != 0 { random(draws) } else { 1 };
    let Some(bucket) = BUCKETS.get_ptr_mut(draw.bucket) else { return true };
    if established {
        // SAFETY: a field of an element of the map; a lost write is one of a time that is as good.
        unsafe { (&raw mut (*bucket).established).write_volatile(now) };
    }
    // Once without a call, which costs as much as the charge.
    charge_once(bucket, &draw, times, now).unwrap_or_else(|| charge_bucket(&draw, times, now))
}

/// How often a packet is charged where charges are randomised: see `Draws`.
#[inline(always)]
fn random(draws: &mut Draws) -> u64 {
    // SAFETY: a helper without arguments.
    draws.next(|| unsafe { bpf_get_prandom_u32() })
}

/// Whether a bucket had what is asked of it, and was charged so many times; `None` where another CPU came
/// first.
#[inline(always)]
pub fn charge_once(bucket: *mut Bucket, draw: &Draw, times: u64, now: u64) -> Option<bool> {
    // SAFETY: a field of an element of the map.
    let tat = unsafe { &raw mut (*bucket).tat };
    // SAFETY: as above.
    let was = unsafe { atomic::load(tat) };
    let spent = spent(was, now, draw.reach);
    if !has(spent, draw.cost, draw.depth) {
        return Some(false);
    }
    let new = now.wrapping_add(spent).wrapping_add(draw.cost.wrapping_mul(times));
    // SAFETY: as above.
    unsafe { atomic::compare_exchange(tat, was, new) }.is_ok().then_some(true)
}

/// Charges a bucket that all CPUs share, as [`charge_once`] does, as often as other CPUs come first, but for
/// a bound.
#[inline(always)]
fn charge_bucket(draw: &Draw, times: u64, now: u64) -> bool {
    let Draw { bucket, cost, depth, reach } = *draw;
    icmpgate_charge_bucket(u64::from(bucket) | times << 32, now, cost, depth, reach) != 0
}

/// What [`charge_bucket`] does: 1, or 0. `what` is the bucket, and above it how many times it is charged. A
/// global function, which the verifier looks at once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_charge_bucket(
    what: u64,
    now: u64,
    cost: u64,
    depth: u64,
    reach: u64,
) -> u32 {
    let draw = Draw { bucket: what as u32, cost, depth, reach };
    let Some(bucket) = BUCKETS.get_ptr_mut(draw.bucket) else { return 1 };
    for _ in 0..TRIES {
        if let Some(charged) = charge_once(bucket, &draw, what >> 32, now) {
            return charged.into();
        }
    }
    // SAFETY: a field of an element of the map.
    unsafe { atomic::fetch_add_u64(&raw mut (*bucket).contended, 1) };
    0
}

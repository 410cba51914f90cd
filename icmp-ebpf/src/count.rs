//! The one exit: every packet is counted here, once.
//!
//! A counter comes into use when its class and outcome are first seen on this interface: the row of
//! the class then remembers its number. So the counters are dense and bounded, and strangers who
//! send every type and code there is can't grow them beyond [`COUNTERS`]; what finds none free is
//! counted in [`COUNTER_OVERFLOW`], never lost. Other traffic, which is most, has a counter of its own
//! from the start ([`COUNTER_OTHER`]).

use crate::{
    atomic,
    decide::Decision,
    frame::Buffer,
    maps::{COUNTER_ROWS, COUNTERS as COUNTERS_MAP, COUNTERS_USED, TRACE, TRACING},
};
use icmp_common::{
    abi::{
        CLASS_NOT_OURS, CLASSES, COUNTER_FREE, COUNTER_OTHER, COUNTER_OVERFLOW, COUNTERS, Trace,
    },
    opaque::opaque,
    parse::Packet,
    verdict::{OUTCOMES, Outcome},
};

/// Counts a packet, and tells the trace of it where traces are asked for. What the trace says lies in
/// memory until then: nobody else pays for it.
#[inline(always)]
pub fn finish<F: Buffer>(octets: u64, decision: Decision, packet: Option<&Packet>) {
    let number = match (decision.class, decision.outcome) {
        (CLASS_NOT_OURS, Outcome::NOT_ICMP) => COUNTER_OTHER[usize::from(F::HOOK)],
        (class, outcome) => number(row::<F>(class), outcome),
    };
    if let Some(counter) = COUNTERS_MAP.get_ptr_mut(number) {
        // SAFETY: this CPU's own element. Both hooks run with softirqs off, so neither runs within
        // the other.
        unsafe {
            (*counter).packets += 1;
            (*counter).octets += octets;
        }
    }
    if TRACING.load() != 0 {
        let [what, why] = decision.trace(packet).pack();
        icmpgate_trace(what, why);
    }
}

/// Writes a trace. A global function with two words for it: as a structure on the stack, its many
/// constants make states that 6.1 tells apart (ten times as many instructions to verify).
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_trace(what: u64, why: u64) -> u32 {
    let Some(slot) = TRACE.get_ptr_mut(0) else { return 1 };
    // SAFETY: an element of the map; only a test run has it written.
    unsafe { slot.write(Trace::unpack([what, why])) };
    0
}

/// The row of a class at the frame's hook.
#[inline(always)]
fn row<F: Buffer>(class: u16) -> u32 {
    u32::from(F::HOOK) * CLASSES as u32 + u32::from(class)
}

/// The counter of a row and an outcome.
#[inline(always)]
fn number(row: u32, outcome: Outcome) -> u32 {
    let Some(row) = COUNTER_ROWS.get_ptr_mut(row) else { return COUNTER_OVERFLOW };
    // Opaque: the compiler knows the range and takes away the mask, and the verifier doesn't, above
    // all that of 6.1, which forgets a number to which something unknown is or-ed (`R0 unbounded
    // memory access`).
    let index = opaque(usize::from(outcome.0)) & (OUTCOMES - 1);
    // SAFETY: index is below the row's length.
    let cell = unsafe { (&raw mut (*row).counter).cast::<u32>().add(index) };
    // SAFETY: as above.
    match unsafe { atomic::load(cell) } {
        0 => first_seen(cell),
        number => number,
    }
}

/// Brings a counter into use.
///
/// Where two CPUs see the same class and outcome for the first time at once, one of the two numbers
/// that they take is lost: at most one for each CPU and cell, once.
#[inline(never)]
fn first_seen(cell: *mut u32) -> u32 {
    let Some(used) = COUNTERS_USED.get_ptr_mut(0) else { return COUNTER_OVERFLOW };
    // SAFETY: an element of the map. Looked at before it is added to, so that it can't wrap.
    if unsafe { atomic::load(used) } >= COUNTERS as u32 - COUNTER_FREE {
        return COUNTER_OVERFLOW;
    }
    // SAFETY: as above.
    let number = unsafe { atomic::fetch_add_u32(used, 1) } + COUNTER_FREE;
    if number >= COUNTERS as u32 {
        return COUNTER_OVERFLOW;
    }
    // SAFETY: a cell of a row, from `number`.
    match unsafe { atomic::compare_exchange(cell, 0, number) } {
        Ok(_) => number,
        Err(other) => other,
    }
}

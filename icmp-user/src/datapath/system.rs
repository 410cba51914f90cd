//! What the machine must have, and what it is better for it to have.

use super::{Error, btf::tcp_sequence};
use icmp_common::bucket::{UNITS_PER_NS, UNITS_PER_S};
use nix::{
    sys::time::TimeSpec,
    time::{ClockId, clock_getres, clock_gettime},
};
use std::fs;

/// Something that lacks and is worth a line, but doesn't stop anything.
pub type Note = String;

/// The capabilities that loading and attaching take, by their bit (linux/capability.h).
const NEEDED: [(&str, u32); 3] = [("CAP_NET_ADMIN", 12), ("CAP_PERFMON", 38), ("CAP_BPF", 39)];
/// Root's own, which implies the BPF ones for kernels and files that still ask for it.
const SYS_ADMIN: u32 = 21;

/// Looks at the capabilities of this process, the JIT, and what the kernel's BTF has to tell.
///
/// # Errors
/// [`Error::Privilege`] naming each capability that lacks.
pub fn check() -> Result<Vec<Note>, Error> {
    let status =
        fs::read_to_string("/proc/self/status").map_err(Error::io("reading /proc/self/status"))?;
    let missing = missing_capabilities(&status);
    if !missing.is_empty() {
        return Err(Error::Privilege { missing: missing.join(", ") });
    }
    let mut notes = Vec::new();
    if let Ok(jit) = fs::read_to_string("/proc/sys/net/core/bpf_jit_enable")
        && jit.trim() == "0"
    {
        notes.push(
            "the BPF JIT is off, so every packet costs several times as much; turn it on with `sysctl net.core.bpf_jit_enable=1`"
                .to_owned(),
        );
    }
    if tcp_sequence().is_none() {
        notes.push(
            "this kernel doesn't say where it keeps the sequence numbers of TCP (tcp_sock in /sys/kernel/btf/vmlinux); errors about a live connection are not held against them, and the check flow-contradicted finds nothing"
                .to_owned(),
        );
    }
    Ok(notes)
}

fn missing_capabilities(status: &str) -> Vec<&'static str> {
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    let has = |bit: u32| effective >> bit & 1 == 1;
    NEEDED
        .iter()
        .filter(|(name, bit)| !has(*bit) && (*name == "CAP_NET_ADMIN" || !has(SYS_ADMIN)))
        .map(|(name, _)| *name)
        .collect()
}

/// The length of a kernel tick (1/CONFIG_HZ s), in the unit of bucket time.
///
/// The coarse clocks advance by ticks, and their resolution is the tick's length in whole
/// nanoseconds; the frequency is a whole number, so rounding finds it.
#[must_use]
pub fn tick_units() -> u64 {
    let ns = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE)
        .map_or(4_000_000, |t| t.tv_sec() as u64 * 1_000_000_000 + t.tv_nsec() as u64);
    tick_of_resolution(ns)
}

/// The time by which buckets go, now: the kernel's monotonic clock, in the unit of buckets.
#[must_use]
pub fn bucket_time() -> u64 {
    monotonic_ns().wrapping_mul(UNITS_PER_NS)
}

/// The kernel's monotonic clock, in nanoseconds.
#[must_use]
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap_or(TimeSpec::new(0, 0));
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}

/// What the kernel's count of ticks showed at the start (INITIAL_JIFFIES, linux/jiffies.h): 300
/// seconds before it wraps at 32 bits, so that who forgets the wrap finds out soon.
#[must_use]
pub fn first_tick() -> u64 {
    let hz = (UNITS_PER_S + tick_units() / 2) / tick_units();
    u64::from(u32::MAX) + 1 - 300 * hz
}

fn tick_of_resolution(ns: u64) -> u64 {
    let ns = ns.clamp(1, 1_000_000_000);
    let hz = (1_000_000_000 + ns / 2) / ns;
    (UNITS_PER_S + hz / 2) / hz
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_that_lack_are_named() {
        let status = |hex: &str| format!("Name:\tx\nCapEff:\t{hex}\nCapBnd:\t0\n");
        assert!(missing_capabilities(&status("000001ffffffffff")).is_empty());
        assert_eq!(
            missing_capabilities(&status("0000000000000000")),
            ["CAP_NET_ADMIN", "CAP_PERFMON", "CAP_BPF"]
        );
        // CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON alone are enough.
        assert!(missing_capabilities(&status("000000c000001000")).is_empty());
        assert_eq!(missing_capabilities(&status("0000008000001000")), ["CAP_PERFMON"]);
        // CAP_SYS_ADMIN stands in for the two that were split from it.
        assert!(missing_capabilities(&status("0000000000201000")).is_empty());
        assert_eq!(missing_capabilities("nothing"), ["CAP_NET_ADMIN", "CAP_PERFMON", "CAP_BPF"]);
    }

    #[test]
    fn ticks_of_every_usual_frequency() {
        for (ns, hz) in [(10_000_000, 100), (4_000_000, 250), (3_333_333, 300), (1_000_000, 1000)] {
            assert_eq!(tick_of_resolution(ns), (UNITS_PER_S + hz / 2) / hz);
        }
    }
}

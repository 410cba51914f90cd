//! Linux's own counters of ICMP and ICMPv6: what its stack received, sent and kept back, which no
//! map of ours knows.
//!
//! They are those of a network namespace, the one of the process that reads: of all its interfaces
//! together, loopback too. They are read by name, since kernels differ in what they count: the
//! rate limits are counted from Linux 6.3 on.

use icmp_common::abi::family;
use std::fs;

/// Counters of IPv4's protocols: for each a line of names, then one of values (`snmp_seq_show` in
/// net/ipv4/proc.c).
const SNMP: &str = "/proc/net/snmp";
/// Counters of IPv6's protocols: a name and a value in each line (`snmp6_seq_show` in
/// net/ipv6/proc.c).
const SNMP6: &str = "/proc/net/snmp6";

/// A counter that Linux keeps, under the kernel's own name (include/uapi/linux/snmp.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelCounter {
    /// Messages received, those with errors included.
    InMsgs,
    /// Messages received that had an error.
    InErrors,
    /// Of these, those whose checksum was wrong.
    InCsumErrors,
    /// Messages sent.
    OutMsgs,
    /// Messages that could not be sent.
    OutErrors,
    /// Errors that were not sent because `net.ipv4.icmp_msgs_per_sec` was spent. Both families draw
    /// on it, and Linux counts both here.
    OutRateLimitGlobal,
    /// Errors that were not sent because their destination had one a moment before
    /// (`net.ipv4.icmp_ratelimit`, `net.ipv6.icmp.ratelimit`).
    OutRateLimitHost,
}

impl KernelCounter {
    /// Every one, in the order in which they are shown.
    pub const ALL: [Self; 7] = [
        Self::InMsgs,
        Self::InErrors,
        Self::InCsumErrors,
        Self::OutMsgs,
        Self::OutErrors,
        Self::OutRateLimitGlobal,
        Self::OutRateLimitHost,
    ];

    /// The kernel's name, without that of the protocol before it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InMsgs => "InMsgs",
            Self::InErrors => "InErrors",
            Self::InCsumErrors => "InCsumErrors",
            Self::OutMsgs => "OutMsgs",
            Self::OutErrors => "OutErrors",
            Self::OutRateLimitGlobal => "OutRateLimitGlobal",
            Self::OutRateLimitHost => "OutRateLimitHost",
        }
    }
}

/// How far one of them has counted since its namespace was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelCount {
    /// Which.
    pub counter: KernelCounter,
    /// One of [`family`]; `None` for what both families share.
    pub family: Option<u8>,
    /// Messages.
    pub messages: u64,
}

/// The counters that the kernel shows in this network namespace. A file that can't be read, a
/// counter that isn't there, and one whose value isn't a number of 64 bits are left out.
#[must_use]
pub fn kernel_counts() -> Vec<KernelCount> {
    // Without IPv6 there is no second file.
    let text = |path| fs::read_to_string(path).unwrap_or_default();
    counts(&text(SNMP), &text(SNMP6))
}

fn counts(snmp: &str, snmp6: &str) -> Vec<KernelCount> {
    let (v4, v6) = (table(snmp, "Icmp:"), list(snmp6, "Icmp6"));
    let read = |pairs: &[(&str, &str)], counter: KernelCounter, family| {
        let (_, value) = pairs.iter().find(|(name, _)| *name == counter.name())?;
        Some(KernelCount { counter, family, messages: value.parse().ok()? })
    };
    let both = |counter| match counter {
        KernelCounter::OutRateLimitGlobal => [read(&v4, counter, None), None],
        _ => [read(&v4, counter, Some(family::ICMPV4)), read(&v6, counter, Some(family::ICMPV6))],
    };
    KernelCounter::ALL.into_iter().flat_map(both).flatten().collect()
}

/// Names and values of a protocol in the form of /proc/net/snmp; nothing where there aren't as many
/// of the one as of the other, since none could be told from its neighbour.
fn table<'a>(text: &'a str, protocol: &str) -> Vec<(&'a str, &'a str)> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(protocol));
    let mut words = || lines.next().unwrap_or_default().split_whitespace().collect::<Vec<_>>();
    let (names, values) = (words(), words());
    if names.len() != values.len() {
        return Vec::new();
    }
    names.into_iter().zip(values).collect()
}

/// Names and values of a protocol in the form of /proc/net/snmp6.
fn list<'a>(text: &'a str, protocol: &str) -> Vec<(&'a str, &'a str)> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(protocol));
    lines
        .filter_map(|line| {
            let (name, value) = line.split_once(char::is_whitespace)?;
            Some((name, value.trim()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Linux 6.18 writes them.
    const SNMP_6_18: &str = "\
Ip: Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams InUnknownProtos InDiscards InDelivers OutRequests OutDiscards OutNoRoutes ReasmTimeout ReasmReqds ReasmOKs ReasmFails FragOKs FragFails FragCreates OutTransmits
Ip: 2 64 1402 0 0 0 0 0 1402 1390 0 0 0 0 0 0 0 0 0 1390
Icmp: InMsgs InErrors InCsumErrors InDestUnreachs InTimeExcds InParmProbs InSrcQuenchs InRedirects InEchos InEchoReps InTimestamps InTimestampReps InAddrMasks InAddrMaskReps OutMsgs OutErrors OutRateLimitGlobal OutRateLimitHost OutDestUnreachs OutTimeExcds OutParmProbs OutSrcQuenchs OutRedirects OutEchos OutEchoReps OutTimestamps OutTimestampReps OutAddrMasks OutAddrMaskReps
Icmp: 31 2 1 3 0 0 0 0 27 0 0 0 0 0 47 4 150 13 20 0 0 0 0 0 27 0 0 0 0
IcmpMsg: InType3 InType8 OutType0 OutType3
IcmpMsg: 3 27 27 20
Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors
Tcp: 1 200 120000 -1 19 11 1 5 3 1371 1361 0 0 8 0
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors
Udp: 8 3 0 11 0 0 0 0 0
";
    const SNMP6_6_18: &str = "\
Ip6InReceives                   \t41
Ip6OutRequests                  \t46
Icmp6InMsgs                     \t9
Icmp6InErrors                   \t5
Icmp6OutMsgs                    \t16
Icmp6OutErrors                  \t1
Icmp6InCsumErrors               \t2
Icmp6OutRateLimitHost           \t21
Icmp6InDestUnreachs             \t3
Icmp6OutMLDv2Reports            \t4
Icmp6OutType143                 \t4
Udp6InErrors                    \t77
UdpLite6InErrors                \t78
";
    /// As Linux 6.1 writes them, which doesn't count what it keeps back.
    const SNMP_6_1: &str = "\
Ip: Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams InUnknownProtos InDiscards InDelivers OutRequests OutDiscards OutNoRoutes ReasmTimeout ReasmReqds ReasmOKs ReasmFails FragOKs FragFails FragCreates
Ip: 1 64 1402 0 0 0 0 0 1402 1390 0 0 0 0 0 0 0 0 0
Icmp: InMsgs InErrors InCsumErrors InDestUnreachs InTimeExcds InParmProbs InSrcQuenchs InRedirects InEchos InEchoReps InTimestamps InTimestampReps InAddrMasks InAddrMaskReps OutMsgs OutErrors OutDestUnreachs OutTimeExcds OutParmProbs OutSrcQuenchs OutRedirects OutEchos OutEchoReps OutTimestamps OutTimestampReps OutAddrMasks OutAddrMaskReps
Icmp: 31 2 1 3 0 0 0 0 27 0 0 0 0 0 47 4 20 0 0 0 0 0 27 0 0 0 0
IcmpMsg: InType3 InType8 OutType0 OutType3
IcmpMsg: 3 27 27 20
Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors
Tcp: 1 200 120000 -1 19 11 1 5 3 1371 1361 0 0 8 0
";
    const SNMP6_6_1: &str = "\
Ip6InReceives                   \t41
Icmp6InMsgs                     \t9
Icmp6InErrors                   \t5
Icmp6OutMsgs                    \t16
Icmp6OutErrors                  \t1
Icmp6InCsumErrors               \t2
Icmp6InDestUnreachs             \t3
";

    fn shown(snmp: &str, snmp6: &str) -> Vec<String> {
        let counts = counts(snmp, snmp6);
        let line = |c: &KernelCount| {
            let family = c.family.map_or("both", family::label);
            format!("{family} {} {}", c.counter.name(), c.messages)
        };
        counts.iter().map(line).collect()
    }

    const COMMON: [&str; 10] = [
        "icmpv4 InMsgs 31",
        "icmpv6 InMsgs 9",
        "icmpv4 InErrors 2",
        "icmpv6 InErrors 5",
        "icmpv4 InCsumErrors 1",
        "icmpv6 InCsumErrors 2",
        "icmpv4 OutMsgs 47",
        "icmpv6 OutMsgs 16",
        "icmpv4 OutErrors 4",
        "icmpv6 OutErrors 1",
    ];
    const LIMITED: [&str; 3] =
        ["both OutRateLimitGlobal 150", "icmpv4 OutRateLimitHost 13", "icmpv6 OutRateLimitHost 21"];

    #[test]
    fn each_counter_of_6_18() {
        assert_eq!(shown(SNMP_6_18, SNMP6_6_18), [&COMMON[..], &LIMITED].concat());
    }

    #[test]
    fn what_6_1_does_not_count_is_left_out() {
        assert_eq!(shown(SNMP_6_1, SNMP6_6_1), COMMON);
    }

    #[test]
    fn a_file_that_is_missing_takes_only_its_own_with_it() {
        assert_eq!(shown("", ""), Vec::<String>::new());
        let of = |family: &'static str| COMMON.into_iter().filter(move |l| l.starts_with(family));
        assert!(shown(SNMP_6_1, "").into_iter().eq(of("icmpv4")));
        assert!(shown("", SNMP6_6_1).into_iter().eq(of("icmpv6")));
    }

    #[test]
    fn names_and_values_that_do_not_match_are_not_told_apart() {
        for text in [
            "Icmp: InMsgs InErrors\nIcmp: 1\n",
            "Icmp: InMsgs\nIcmp: 1 2\n",
            "Icmp: InMsgs InErrors\n",
            "Icmp: 1 2\n",
            "Icmp:\nIcmp:\n",
            "Icmp: InMsgs\nIcmpMsg: 1\n",
            "Icmp: InMsgs",
            "Icmp",
            "\n\0\u{fffd}",
        ] {
            assert_eq!(shown(text, ""), Vec::<String>::new(), "{text:?}");
        }
        for text in
            ["Icmp6InMsgs", "Icmp6InMsgs \t", "Icmp6InMsgs 1 2", "Icmp6", "Icmp6 1", "InMsgs 1"]
        {
            assert_eq!(shown("", text), Vec::<String>::new(), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_number_of_64_bits_is_left_out_and_the_others_stay() {
        let text = |value: &str| format!("Icmp: Odd InMsgs OutMsgs\nIcmp: x {value} 7\n");
        for value in ["-1", "18446744073709551616", "1.5", "0x10", "many", "1e3"] {
            assert_eq!(shown(&text(value), ""), ["icmpv4 OutMsgs 7"], "{value}");
            let snmp6 = format!("Icmp6InMsgs {value}\nIcmp6Odd x\nIcmp6OutMsgs 7\n");
            assert_eq!(shown("", &snmp6), ["icmpv6 OutMsgs 7"], "{value}");
        }
        let most = "icmpv4 InMsgs 18446744073709551615";
        assert_eq!(shown(&text("18446744073709551615"), ""), [most, "icmpv4 OutMsgs 7"]);
    }

    #[test]
    fn this_machine_has_them() {
        let counts = kernel_counts();
        let has = |c: KernelCounter| counts.iter().any(|n| n.counter == c);
        assert!(has(KernelCounter::InMsgs) && has(KernelCounter::OutErrors), "{counts:?}");
    }
}

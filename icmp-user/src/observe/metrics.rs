//! A snapshot as Prometheus text. The names, which dashboards and alerts hold on to, and their help
//! are in one block; what is served and what `stats --prometheus` prints is the same text.

use super::{
    EgressLevel, GatedState, InterfaceState, Level, LimitState, MembershipState, Pace, Snapshot,
};
use crate::datapath::{KernelCount, KernelCounter};
use icmp_common::{
    abi::{self, family, hook},
    member::Stats,
};
use prometheus::{
    TextEncoder,
    proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType},
};

/// The media type of the text.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A metric, before it has values.
#[derive(Clone, Copy, Debug)]
pub struct Declaration {
    /// Its name.
    pub name: &'static str,
    /// Whether it only grows, as counters do, or is a gauge.
    pub grows: bool,
    /// What it says.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($constant:ident = $kind:ident $name:literal, $help:literal;)+) => {
        $(
            #[doc = $help]
            pub const $constant: Declaration =
                Declaration { name: $name, grows: metrics!(@ $kind), help: $help };
        )+

        /// Every metric, in the order in which they are rendered.
        pub const ALL: &[Declaration] = &[$($constant,)+];
    };
    (@ counter) => { true };
    (@ gauge) => { false };
}

metrics! {
    PACKETS = counter "icmpgate_packets_total", "Packets by what they were, what was done with them and why.";
    BYTES = counter "icmpgate_bytes_total", "Octets of their frames as the hook saw them, without the frame check sequence.";
    OVERFLOW_PACKETS = counter "icmpgate_overflow_packets_total", "Packets that found no free counter and are in none of the others.";
    OVERFLOW_BYTES = counter "icmpgate_overflow_bytes_total", "Octets of the frames that found no free counter.";
    COUNTERS_USED = gauge "icmpgate_counters_used", "Counters in use.";
    COUNTERS_CAPACITY = gauge "icmpgate_counters_capacity", "Counters that there are.";
    ATTACHED = gauge "icmpgate_attached", "1 where the program is attached to the interface in this mode, else 0.";
    EGRESS_ATTACHED = gauge "icmpgate_egress_attached", "1 where the program for what is sent is attached in this mode, else 0.";
    SPEED = gauge "icmpgate_interface_speed_bytes_per_second", "The speed of the interface by which shares go, the policy's or the driver's; nothing where it is not known.";
    POLICY_GENERATION = gauge "icmpgate_policy_generation", "How many policies have been put in force, this one included.";
    POLICY_APPLIED = gauge "icmpgate_policy_applied_timestamp_seconds", "When the policy was put in force.";
    POLICY_RULES = gauge "icmpgate_policy_rules", "Rules of the policy, its profile's included.";
    POLICY_INFO = gauge "icmpgate_policy_info", "The profile of the policy, and whether it is enforced or only observed.";
    BUCKET_CONTENTION = counter "icmpgate_bucket_contention_total", "Packets that a limit refused because other CPUs kept taking its bucket first.";
    LIMIT_PACKETS = counter "icmpgate_limit_packets_total", "Packets that a limit of the policy let pass, and that it refused.";
    LIMIT_LEVEL = gauge "icmpgate_limit_level", "How much of its burst a limit in total has left, in its unit.";
    LIMIT_BURST = gauge "icmpgate_limit_burst", "The burst of a limit, in its unit.";
    LIMIT_RATE = gauge "icmpgate_limit_rate_per_second", "The rate of a limit, in its unit a second.";
    LIMIT_SHARE = gauge "icmpgate_limit_share_ratio", "The share that a limit is of the speed of the interface, of 1.";
    LIMIT_BURST_TIME = gauge "icmpgate_limit_burst_seconds", "The burst of a limit that is a share, as the time in which it comes back.";
    KEYS_CAPACITY = gauge "icmpgate_keys_capacity", "How many keys (sources, destinations, links) limits hold at once.";
    KEYS_USED = gauge "icmpgate_keys_used", "How many they hold now; of more than 262144 an estimate.";
    KEYS_TAKEN = counter "icmpgate_keys_taken_total", "How often a key took a place among them.";
    KEYS_FULL = counter "icmpgate_keys_full_packets_total", "Packets whose key found no place, and shared one bucket with others.";
    PENALTY_SOURCES = gauge "icmpgate_penalty_box_sources", "Sources that are in the penalty box.";
    PENALTY_BOXED = counter "icmpgate_penalty_box_boxed_total", "How often a source was put into the penalty box.";
    PENALTY_REFUSED = counter "icmpgate_penalty_box_refused_packets_total", "Packets beyond a limit that were not held against their source, by the reason why.";
    PENALTY_FULL = counter "icmpgate_penalty_box_full_packets_total", "Packets beyond a limit whose source found no room among those that are watched.";
    GROUPS = gauge "icmpgate_groups", "Multicast groups that have members on an interface; what has run out counts until it is swept.";
    GROUPS_CAPACITY = gauge "icmpgate_groups_capacity", "How many groups there is room for on all interfaces together.";
    QUERIER = gauge "icmpgate_group_querier", "1 where somebody asks who listens, so that it is known, else 0.";
    GROUP_JOINS = counter "icmpgate_group_joins_total", "How often a host came to be a member of a group.";
    GROUP_LEAVES = counter "icmpgate_group_leaves_total", "How often a host said that it no longer is.";
    GROUP_REFUSED = counter "icmpgate_group_refused_total", "Reports of a group that were not taken, by the reason why.";
    GROUP_OVERFULL = counter "icmpgate_group_overfull_total", "Reports that were taken without room for every source or reporter; the group then takes more than it has to.";
    GATED_PACKETS = counter "icmpgate_gated_packets_total", "Multicast that was kept from where its group has no member, or would have been, of the ten groups with most; of all together, icmpgate_packets_total has it as no-member.";
    GATED_BYTES = counter "icmpgate_gated_bytes_total", "Octets of their frames.";
    KERNEL_IN = counter "icmpgate_kernel_in_messages_total", "ICMP messages that Linux received in this network namespace, without what the hook dropped or answered (InMsgs).";
    KERNEL_IN_ERRORS = counter "icmpgate_kernel_in_errors_total", "ICMP messages that Linux received and found an error in (InErrors).";
    KERNEL_IN_CHECKSUM_ERRORS = counter "icmpgate_kernel_in_checksum_errors_total", "ICMP messages that Linux received with a wrong checksum (InCsumErrors).";
    KERNEL_OUT = counter "icmpgate_kernel_out_messages_total", "ICMP messages that Linux sent from this network namespace, with what the hook then dropped (OutMsgs).";
    KERNEL_OUT_ERRORS = counter "icmpgate_kernel_out_errors_total", "ICMP messages that Linux could not send (OutErrors).";
    KERNEL_LIMITED_GLOBAL = counter "icmpgate_kernel_rate_limited_global_total", "Errors of both families that Linux's own limiter, which acts before the hook, kept back by net.ipv4.icmp_msgs_per_sec (OutRateLimitGlobal).";
    KERNEL_LIMITED_HOST = counter "icmpgate_kernel_rate_limited_host_total", "Errors that Linux's own limiter, which acts before the hook, kept back by net.ipv4.icmp_ratelimit or net.ipv6.icmp.ratelimit (OutRateLimitHost).";
    SCRAPE_ERRORS = gauge "icmpgate_scrape_errors", "Interfaces whose counters could not be read for this text.";
    BUILD_INFO = gauge "icmpgate_build_info", "The version of icmpgate that wrote this text.";
}

/// The text of a snapshot.
///
/// # Errors
/// None that is known: the encoder refuses families without a name or a sample, and there are none.
pub fn render(snapshot: &Snapshot) -> Result<String, prometheus::Error> {
    let mut families = Vec::new();
    let mut add = |declaration: Declaration, samples: Vec<Metric>| {
        if !samples.is_empty() {
            families.push(family_of(declaration, samples));
        }
    };
    let interfaces = &snapshot.interfaces;

    add(PACKETS, lines(PACKETS, interfaces, |count| count.packets));
    add(BYTES, lines(BYTES, interfaces, |count| count.octets));
    add(OVERFLOW_PACKETS, each(OVERFLOW_PACKETS, interfaces, |i| i.overflow.packets));
    add(OVERFLOW_BYTES, each(OVERFLOW_BYTES, interfaces, |i| i.overflow.octets));
    add(COUNTERS_USED, each(COUNTERS_USED, interfaces, |i| i.used.into()));
    add(COUNTERS_CAPACITY, each(COUNTERS_CAPACITY, interfaces, |i| i.room.into()));
    let attached = interfaces.iter().flat_map(|interface| {
        [Level::Native, Level::Generic].map(|level| {
            let labels = [("iface", interface.name.as_str()), ("mode", level.label())];
            sample(ATTACHED, &labels, u64::from(interface.level == level))
        })
    });
    add(ATTACHED, attached.collect());
    let attached = interfaces.iter().flat_map(|interface| {
        [EgressLevel::Tcx, EgressLevel::Clsact].map(|level| {
            let labels = [("iface", interface.name.as_str()), ("mode", level.label())];
            sample(EGRESS_ATTACHED, &labels, u64::from(interface.egress == level))
        })
    });
    add(EGRESS_ATTACHED, attached.collect());

    let known = interfaces.iter().filter(|i| i.speed.is_known());
    let speed = known.map(|i| {
        // Mbit/s, of 10^6 bits, in octets.
        sample(SPEED, &[("iface", i.name.as_str())], u64::from(i.speed.0) * 125_000)
    });
    add(SPEED, speed.collect());

    // Without a policy its generation is still worth a sample: 0.
    let generation = snapshot.policy.as_ref().map_or(0, |p| p.generation);
    add(POLICY_GENERATION, vec![sample(POLICY_GENERATION, &[], generation)]);
    if let Some(policy) = &snapshot.policy {
        add(POLICY_APPLIED, vec![sample(POLICY_APPLIED, &[], policy.applied_unix_s)]);
        add(POLICY_RULES, vec![sample(POLICY_RULES, &[], policy.rules.into())]);
        let labels = [("profile", policy.profile.as_str()), ("mode", policy.mode.label())];
        add(POLICY_INFO, vec![sample(POLICY_INFO, &labels, 1)]);
    }
    add(BUCKET_CONTENTION, vec![sample(BUCKET_CONTENTION, &[], snapshot.bucket_contention)]);
    limits(&snapshot.limits, &mut add);
    let keys = &snapshot.keys;
    add(KEYS_CAPACITY, vec![sample(KEYS_CAPACITY, &[], keys.capacity)]);
    add(KEYS_USED, keys.used.map(|used| sample(KEYS_USED, &[], used)).into_iter().collect());
    add(KEYS_TAKEN, vec![sample(KEYS_TAKEN, &[], keys.taken)]);
    add(KEYS_FULL, vec![sample(KEYS_FULL, &[], keys.full)]);
    let penalty = &snapshot.penalty;
    add(PENALTY_SOURCES, vec![sample(PENALTY_SOURCES, &[], penalty.boxed.len() as u64)]);
    add(PENALTY_BOXED, vec![sample(PENALTY_BOXED, &[], penalty.times)]);
    let refused = penalty.refused.iter();
    let refused = refused.map(|(why, n)| sample(PENALTY_REFUSED, &[("why", *why)], *n));
    add(PENALTY_REFUSED, refused.collect());
    add(PENALTY_FULL, vec![sample(PENALTY_FULL, &[], penalty.full)]);
    membership(&snapshot.membership, &mut add);
    kernel(&snapshot.kernel.counts, &mut add);
    add(SCRAPE_ERRORS, vec![sample(SCRAPE_ERRORS, &[], snapshot.errors.len() as u64)]);
    add(BUILD_INFO, vec![sample(BUILD_INFO, &[("version", &snapshot.version)], 1)]);
    TextEncoder::new().encode_to_string(&families)
}

/// The metrics of groups and their members.
fn membership(state: &MembershipState, add: &mut impl FnMut(Declaration, Vec<Metric>)) {
    let held = state.held.iter();
    let held = held.map(|(name, count)| sample(GROUPS, &[("iface", name)], u64::from(*count)));
    add(GROUPS, held.collect());
    add(GROUPS_CAPACITY, vec![sample(GROUPS_CAPACITY, &[], abi::GROUPS as u64)]);
    // A VLAN is a link of its own; of its number, which anybody can send, no series is made.
    let untagged = state.queriers.iter().filter(|q| q.vlan.is_none());
    let queriers = untagged.map(|q| {
        let labels = [("iface", q.interface.as_str()), ("protocol", q.protocol)];
        sample(QUERIER, &labels, u64::from(q.expires_s.is_some()))
    });
    add(QUERIER, queriers.collect());
    let Stats {
        joins,
        leaves,
        table_full,
        interface_full,
        host_full,
        join_rate,
        contended,
        group_full,
    } = state.stats;
    add(GROUP_JOINS, vec![sample(GROUP_JOINS, &[], joins)]);
    add(GROUP_LEAVES, vec![sample(GROUP_LEAVES, &[], leaves)]);
    let refused = [
        ("table-full", table_full),
        ("interface-full", interface_full),
        ("host-full", host_full),
        ("join-rate", join_rate),
        ("contended", contended),
    ];
    let refused = refused.map(|(why, n)| sample(GROUP_REFUSED, &[("why", why)], n));
    add(GROUP_REFUSED, refused.to_vec());
    add(GROUP_OVERFULL, vec![sample(GROUP_OVERFULL, &[], group_full)]);
    let gated = |declaration, of: fn(&GatedState) -> u64| {
        let one = |g: &GatedState| {
            let labels = [("iface", g.interface.as_str()), ("group", &g.group.to_string())];
            sample(declaration, &labels, of(g))
        };
        state.gated.iter().map(one).collect()
    };
    add(GATED_PACKETS, gated(GATED_PACKETS, |g| g.packets));
    add(GATED_BYTES, gated(GATED_BYTES, |g| g.octets));
}

/// The metrics of each limit. A rule may have two limits of one key; they are numbered.
fn limits(states: &[LimitState], add: &mut impl FnMut(Declaration, Vec<Metric>)) {
    let numbered: Vec<(&LimitState, String)> = states
        .iter()
        .enumerate()
        .map(|(i, state)| {
            let same = |other: &&LimitState| {
                (other.hook, &other.rule, other.key, other.unknown_flow)
                    == (state.hook, &state.rule, state.key, state.unknown_flow)
            };
            (state, (states[..i].iter().filter(same).count() + 1).to_string())
        })
        .collect();
    let labelled = |declaration: Declaration, value: &dyn Fn(&LimitState) -> Option<f64>| {
        let samples = numbered.iter().filter_map(|(state, number)| {
            let labels = limit_labels(state, number);
            Some(float_sample(declaration, &labels, value(state)?))
        });
        samples.collect::<Vec<_>>()
    };
    let packets = numbered.iter().flat_map(|(state, number)| {
        [("pass", state.passed), ("drop", state.refused)].map(|(verdict, count)| {
            let mut labels = limit_labels(state, number).to_vec();
            labels.push(("verdict", verdict));
            sample(LIMIT_PACKETS, &labels, count)
        })
    });
    add(LIMIT_PACKETS, packets.collect());
    add(LIMIT_LEVEL, labelled(LIMIT_LEVEL, &|s| s.level.map(|l| l as f64)));
    // What a share comes to in octets is the interface's: see SPEED.
    let of_rate = |s: &LimitState, value: &dyn Fn(u64, u32, u64) -> f64| match s.pace {
        Pace::Rate { rate, period_s, burst } => Some(value(rate, period_s, burst)),
        Pace::Share { .. } => None,
    };
    add(LIMIT_BURST, labelled(LIMIT_BURST, &|s| of_rate(s, &|_, _, burst| burst as f64)));
    let rate = |rate, period_s: u32, _| rate as f64 / f64::from(period_s.max(1));
    add(LIMIT_RATE, labelled(LIMIT_RATE, &|s| of_rate(s, &rate)));
    let of_share = |s: &LimitState| match s.pace {
        Pace::Rate { .. } => None,
        Pace::Share { share, burst_ms } => Some((share.ratio(), burst_ms as f64 / 1000.0)),
    };
    add(LIMIT_SHARE, labelled(LIMIT_SHARE, &|s| of_share(s).map(|(share, _)| share)));
    add(LIMIT_BURST_TIME, labelled(LIMIT_BURST_TIME, &|s| of_share(s).map(|(_, burst)| burst)));
}

/// The metrics of what Linux counts; of what it doesn't count there is none.
fn kernel(counts: &[KernelCount], add: &mut impl FnMut(Declaration, Vec<Metric>)) {
    for counter in KernelCounter::ALL {
        let declaration = match counter {
            KernelCounter::InMsgs => KERNEL_IN,
            KernelCounter::InErrors => KERNEL_IN_ERRORS,
            KernelCounter::InCsumErrors => KERNEL_IN_CHECKSUM_ERRORS,
            KernelCounter::OutMsgs => KERNEL_OUT,
            KernelCounter::OutErrors => KERNEL_OUT_ERRORS,
            KernelCounter::OutRateLimitGlobal => KERNEL_LIMITED_GLOBAL,
            KernelCounter::OutRateLimitHost => KERNEL_LIMITED_HOST,
        };
        let of_it = counts.iter().filter(|count| count.counter == counter);
        let samples = of_it.map(|count| {
            let family = count.family.map(|f| ("family", family::label(f)));
            sample(declaration, family.as_slice(), count.messages)
        });
        add(declaration, samples.collect());
    }
}

fn limit_labels<'a>(state: &'a LimitState, number: &'a str) -> [(&'static str, &'a str); 6] {
    [
        ("hook", state.hook),
        ("rule", state.rule.as_str()),
        ("key", state.key),
        ("flow", if state.unknown_flow { "unknown" } else { "any" }),
        ("unit", state.unit),
        ("number", number),
    ]
}

fn lines(
    declaration: Declaration,
    interfaces: &[InterfaceState],
    value: impl Fn(&abi::Counter) -> u64,
) -> Vec<Metric> {
    let lines = interfaces.iter().flat_map(|i| i.counters.iter().map(move |c| (&i.name, c)));
    lines
        .map(|(iface, line)| {
            let labels = [
                ("iface", iface.as_str()),
                ("hook", hook::label(line.hook)),
                ("family", family::label(line.family)),
                ("type", &line.ty.to_string()),
                ("code", &line.code.to_string()),
                ("verdict", line.verdict.label()),
                ("reason", line.reason.label()),
                ("mode", line.mode.label()),
            ];
            sample(declaration, &labels, value(&line.count))
        })
        .collect()
}

fn each(
    declaration: Declaration,
    interfaces: &[InterfaceState],
    value: impl Fn(&InterfaceState) -> u64,
) -> Vec<Metric> {
    let one = |i: &InterfaceState| sample(declaration, &[("iface", &i.name)], value(i));
    interfaces.iter().map(one).collect()
}

// Prometheus keeps floats: beyond 2^53 the last digits are its, not the maps'.
fn sample(declaration: Declaration, labels: &[(&str, &str)], value: u64) -> Metric {
    float_sample(declaration, labels, value as f64)
}

fn float_sample(declaration: Declaration, labels: &[(&str, &str)], value: f64) -> Metric {
    let pairs = labels.iter().map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    });
    let mut metric = Metric::from_label(pairs.collect());
    if declaration.grows {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    metric
}

fn family_of(declaration: Declaration, samples: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(declaration.name.to_owned());
    family.set_help(declaration.help.to_owned());
    family.set_field_type(if declaration.grows { MetricType::COUNTER } else { MetricType::GAUGE });
    family.set_metric(samples);
    family
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::snapshot::tests::by_hand;
    use std::collections::BTreeSet;

    #[test]
    fn the_whole_text() {
        assert_eq!(render(&by_hand()).unwrap(), include_str!("metrics.txt"));
    }

    #[test]
    fn an_instance_without_interfaces_and_policy_has_a_text_too() {
        let empty = Snapshot { policy: None, interfaces: vec![], errors: vec![], ..by_hand() };
        let text = render(&empty).unwrap();
        assert!(text.contains("\nicmpgate_policy_generation 0\n"), "{text}");
        assert!(!text.contains("\nicmpgate_packets_total"), "{text}");
    }

    #[test]
    fn every_declared_metric_is_rendered_and_named_by_the_conventions() {
        let text = render(&by_hand()).unwrap();
        let mut names = BTreeSet::new();
        for metric in ALL {
            assert!(names.insert(metric.name), "{} twice", metric.name);
            assert!(metric.name.starts_with("icmpgate_"));
            assert_eq!(metric.name.ends_with("_total"), metric.grows, "{}", metric.name);
            assert!(text.contains(&format!("# HELP {} {}\n", metric.name, metric.help)));
            assert!(text.contains(&format!("\n{}", metric.name)), "{}", metric.name);
        }
    }

    #[test]
    fn large_counts_are_written_out() {
        let mut snapshot = by_hand();
        snapshot.bucket_contention = 1 << 53;
        let text = render(&snapshot).unwrap();
        assert!(text.contains("icmpgate_bucket_contention_total 9007199254740992\n"), "{text}");
    }
}
